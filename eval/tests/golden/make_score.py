#!/usr/bin/env python3
"""Writes score.safetensors: random scores and labels, and what scikit-learn says of them.

    pip install numpy==2.4.6 scikit-learn==1.9.1 safetensors==0.8.0
    python3 make_score.py

300 clips of 48 classes, of which 30 has none and 7 a single one, like Diving48's test split. The scores are of three views; by
name: top-1, top-5 and balanced accuracy of the first view, of the mean of the three softmaxes, of the mean of the logits.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, top_k_accuracy_score

NUM_CLASSES = 48

rng = np.random.default_rng(48)
labels = rng.choice([c for c in range(NUM_CLASSES) if c not in (7, 30)], 300)
labels[123] = 7
scores = rng.normal(size=(300, 3, NUM_CLASSES)).astype(np.float32)
scores[np.arange(300), :, labels] += 1.5

exp = np.exp(scores.astype(np.float64))
means = {
    "first": scores[:, 0].astype(np.float64),
    "probabilities": (exp / exp.sum(-1, keepdims=True)).mean(1),
    "logits": scores.astype(np.float64).mean(1),
}
arrays = {"scores": scores, "labels": labels.astype(np.int64)}
for name, mean in means.items():
    answers = mean.argmax(1)
    top5 = top_k_accuracy_score(labels, mean, k=5, labels=np.arange(NUM_CLASSES))
    measures = [accuracy_score(labels, answers), top5, balanced_accuracy_score(labels, answers)]
    arrays[name] = np.array(measures)
    arrays[f"{name}_confusion"] = confusion_matrix(labels, answers, labels=np.arange(NUM_CLASSES)).astype(np.int64)
    print(name, *measures)
save_file(arrays, Path(__file__).parent / "score.safetensors")
