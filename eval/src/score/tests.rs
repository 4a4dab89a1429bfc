use std::collections::BTreeSet;

use tch::Tensor;

use super::*;
use crate::EvalError;

fn header(stored_views: StoredViews) -> ScoreHeader {
    ScoreHeader {
        values: ScoreValues::Logits,
        views: "1x1".to_owned(),
        stored_views,
        num_failed: 0,
        partial: false,
        source: "test".to_owned(),
    }
}

fn table(spaces: &[(&str, usize)], clips: &[(&str, &[&[f32]])]) -> ScoreTable {
    let mut table = ScoreTable::new(header(StoredViews::Kept), spaces).unwrap();
    for (id, scores) in clips {
        table.push(id, scores).unwrap();
    }
    table
}

fn space(name: &str, num_classes: usize, tail: &[usize]) -> TruthSpace {
    let classes = (0..num_classes).map(|class| format!("{name}{class}")).collect();
    TruthSpace { name: name.to_owned(), classes, tail: tail.iter().copied().collect() }
}

fn truth(spaces: Vec<TruthSpace>, clips: &[(&str, &[usize], bool)]) -> Truth {
    let clip = |(id, labels, is_unseen): &(&str, &[usize], bool)| TruthClip {
        id: (*id).to_owned(),
        labels: labels.to_vec(),
        is_unseen: *is_unseen,
    };
    Truth::new(spaces, clips.iter().map(clip).collect()).unwrap()
}

/// `subset target measure` and its value.
fn values(outcome: &Outcome) -> Vec<(String, Option<f64>, usize)> {
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let of = |metric: &Metric| {
        let [subset, measure] = [serde_json::to_value(metric.subset), serde_json::to_value(metric.measure)];
        let name = format!("{} {} {}", text(subset.unwrap()), metric.target, text(measure.unwrap()));
        (name, metric.value, metric.num_clips)
    };
    outcome.metrics.iter().map(of).collect()
}

#[track_caller]
fn value(evaluation: &Evaluation, name: &str) -> (Option<f64>, usize) {
    let all = values(&evaluation.outcomes[0]);
    let found = all.iter().find(|(known, ..)| known == name).unwrap_or_else(|| panic!("no {name} in {all:?}"));
    (found.1, found.2)
}

/// Three verbs and two nouns; verb 2 and noun 1 are tail classes.
fn kitchen(clips: &[(&str, &[usize], bool)]) -> Truth {
    truth(vec![space("verb", 3, &[2]), space("noun", 2, &[1])], clips)
}

const KITCHEN: [(&str, usize); 2] = [("verb", 3), ("noun", 2)];

/// Four segments, worked by hand.
///
/// | segment | verb scores | noun scores | right  | verb   | noun   | action, by v + n  |
/// | ------- | ----------- | ----------- | ------ | ------ | ------ | ----------------- |
/// | a       | 3 0 0       | 2 0         | (0, 0) | first  | first  | first             |
/// | b       | 1 1 0       | 0 5         | (0, 1) | second | first  | first             |
/// | c       | 0 2 1       | 1 0         | (2, 1) | second | second | fifth             |
/// | d       | 0 0 9       | 0 1         | (2, 0) | first  | second | second            |
///
/// Ties: in b verb 1 stands before verb 0, so that (0, 1) is the later of the two equal pairs, which makes it the first; in c
/// (0, 0) equals (2, 1), and verb 0 is ranked below verb 2.
fn four() -> (ScoreTable, Truth) {
    let scores = table(
        &KITCHEN,
        &[
            ("a", &[&[3.0, 0.0, 0.0], &[2.0, 0.0]]),
            ("b", &[&[1.0, 1.0, 0.0], &[0.0, 5.0]]),
            ("c", &[&[0.0, 2.0, 1.0], &[1.0, 0.0]]),
            ("d", &[&[0.0, 0.0, 9.0], &[0.0, 1.0]]),
        ],
    );
    let right = kitchen(&[("a", &[0, 0], true), ("b", &[0, 1], false), ("c", &[2, 1], true), ("d", &[2, 0], false)]);
    (scores, right)
}

#[test]
fn a_kitchen_worked_by_hand() {
    let (scores, right) = four();
    let evaluation = evaluate(Protocol::Epic100, &scores, &right, Missing::Refused).unwrap();
    assert_eq!(evaluation.partial, None);
    for (name, want) in [
        ("all verb top1", (Some(0.5), 4)),
        ("all verb top5", (Some(1.0), 4)),
        ("all noun top1", (Some(0.5), 4)),
        ("all action top1", (Some(0.5), 4)),
        ("all action top5", (Some(1.0), 4)),
        // Verb 2: c is wrong, d is right.
        ("tail verb top1", (Some(0.5), 2)),
        // Noun 1: b is right, c is wrong.
        ("tail noun top1", (Some(0.5), 2)),
        // Verb or noun: b, c, d, of which b is right.
        ("tail action top1", (Some(1.0 / 3.0), 3)),
        // a is right, c is wrong.
        ("unseen verb top1", (Some(0.5), 2)),
        ("unseen action top1", (Some(0.5), 2)),
    ] {
        assert_eq!(value(&evaluation, name), want, "{name}");
    }
    assert_eq!(evaluation.outcomes[0].metrics.len(), 12);
}

#[test]
fn an_empty_subset_has_no_value_and_divides_by_no_zero() {
    let (scores, _) = four();
    let seen = kitchen(&[("a", &[0, 0], false), ("b", &[0, 0], false), ("c", &[1, 0], false), ("d", &[1, 0], false)]);
    let evaluation = evaluate(Protocol::Epic100, &scores, &seen, Missing::Refused).unwrap();
    for name in ["tail verb top1", "tail noun top1", "tail action top1", "unseen verb top1", "unseen action top1"] {
        assert_eq!(value(&evaluation, name), (None, 0), "{name}");
    }
    assert!(!serde_json::to_string(&evaluation).unwrap().contains("NaN"));
}

#[test]
fn segments_without_scores_are_refused_wrong_or_left_out() {
    let (scores, _) = four();
    let clips: [(&str, &[usize], bool); 6] = [
        ("e", &[0, 0], false),
        ("a", &[0, 0], true),
        ("b", &[0, 1], false),
        ("c", &[2, 1], true),
        ("d", &[2, 0], false),
        ("f", &[1, 1], false),
    ];
    let right = kitchen(&clips);
    let said = evaluate(Protocol::Epic100, &scores, &right, Missing::Refused).unwrap_err().to_string();
    assert!(said.starts_with("2 of 6 annotated clips have no scores: e, f; say --missing"), "{said}");

    let wrong = evaluate(Protocol::Epic100, &scores, &right, Missing::Wrong).unwrap();
    assert_eq!(value(&wrong, "all verb top1"), (Some(2.0 / 6.0), 6));
    // f has the tail noun.
    assert_eq!(value(&wrong, "tail noun top1"), (Some(1.0 / 3.0), 3));
    let partial = "partial: 4 of 6 clips have scores; the others count as wrong";
    assert_eq!(wrong.partial.as_deref(), Some(partial));

    let left_out = evaluate(Protocol::Epic100, &scores, &right, Missing::LeftOut).unwrap();
    let (four_scores, four_right) = four();
    let four = evaluate(Protocol::Epic100, &four_scores, &four_right, Missing::Refused).unwrap();
    assert_eq!(left_out.outcomes, four.outcomes);
    let partial = "partial: 4 of 6 clips have scores; the others do not count";
    assert_eq!(left_out.partial.as_deref(), Some(partial));
}

#[test]
fn scores_that_were_limited_on_purpose_are_partial_even_where_all_annotations_are_met() {
    let header = ScoreHeader { partial: true, ..header(StoredViews::Kept) };
    let mut scores = ScoreTable::new(header, &[("class", 2)]).unwrap();
    scores.push("a", &[&[1.0, 0.0]]).unwrap();
    let right = truth(vec![space("class", 2, &[])], &[("a", &[0], false)]);
    let evaluation = evaluate(Protocol::Plain, &scores, &right, Missing::Refused).unwrap();
    let partial = "partial: 1 of 1 clips have scores; the scores say that clips were left out";
    assert_eq!(evaluation.partial.as_deref(), Some(partial));
}

#[test]
fn of_equal_scores_argmax_decides_but_for_epic_kitchens() {
    let scores = table(&[("class", 3)], &[("a", &[&[0.0, 0.0, 0.0]]), ("b", &[&[0.0, 0.0, 0.0]])]);
    let right = truth(vec![space("class", 3, &[])], &[("a", &[0], false), ("b", &[2], false)]);
    let evaluation = evaluate(Protocol::Diving48V2, &scores, &right, Missing::Refused).unwrap();
    assert_eq!(value(&evaluation, "all class top1"), (Some(0.5), 2));
    assert_eq!(evaluation.spaces[0].worst[0].id, "b");

    let scores = table(&KITCHEN, &[("a", &[&[0.0; 3], &[0.0; 2]]), ("b", &[&[0.0; 3], &[0.0; 2]])]);
    let right = kitchen(&[("a", &[0, 0], false), ("b", &[2, 1], false)]);
    let evaluation = evaluate(Protocol::Epic100, &scores, &right, Missing::Refused).unwrap();
    assert_eq!(value(&evaluation, "all verb top1"), (Some(0.5), 2));
    assert_eq!(evaluation.spaces[0].worst[0].id, "a");
}

#[test]
fn classes_confusions_and_worst_errors_are_counted() {
    let scores = table(
        &[("class", 4)],
        &[
            ("a", &[&[5.0, 0.0, 0.0, 0.0]]),
            ("b", &[&[0.0, 1.0, 0.0, 0.0]]),
            ("c", &[&[0.0, 0.0, 7.0, 0.0]]),
            ("d", &[&[0.0, 2.0, 0.0, 0.5]]),
        ],
    );
    // Class 3 has a single clip, class 2 none.
    let right = truth(
        vec![space("class", 4, &[])],
        &[("a", &[0], false), ("b", &[0], false), ("c", &[0], false), ("d", &[3], false)],
    );
    let evaluation = evaluate(Protocol::Diving48V2, &scores, &right, Missing::Refused).unwrap();
    // Class 0: 1 of 3; class 3: 0 of 1; the others have no clip.
    assert_eq!(value(&evaluation, "all class mean_class"), (Some(1.0 / 6.0), 4));
    let answers = &evaluation.spaces[0];
    let class = |label, num_clips, num_right, mistaken_for| ClassAnswers { label, num_clips, num_right, mistaken_for };
    assert_eq!(answers.by_class, [class(0, 3, 1, Some(1)), class(3, 1, 0, Some(1))]);
    assert_eq!(answers.confusion, [(0, 0, 1), (0, 1, 1), (0, 2, 1), (3, 1, 1)]);
    assert_eq!(answers.seen(), [0, 1, 2, 3]);
    let worst: Vec<(&str, f64)> = answers.worst.iter().map(|worst| (worst.id.as_str(), worst.margin)).collect();
    assert_eq!(worst, [("c", 7.0), ("d", 1.5), ("b", 1.0)]);
}

#[test]
fn bad_scores_are_refused_by_the_name_of_their_clip() {
    let mut table = ScoreTable::new(header(StoredViews::Kept), &KITCHEN).unwrap();
    table.push("a", &[&[0.0; 3], &[0.0; 2]]).unwrap();
    let mut said = |id: &str, scores: &[&[f32]]| table.push(id, scores).unwrap_err().to_string();
    assert_eq!(said("a", &[&[0.0; 3], &[0.0; 2]]), "clip \"a\" has scores twice");
    let nan = said("b", &[&[0.0; 3], &[0.0, f32::NAN]]);
    assert_eq!(nan, "the noun score of clip \"b\" for class 1 is NaN: it must be a finite number");
    let wide = said("b", &[&[0.0; 3], &[0.0; 3]]);
    assert_eq!(wide, "clip \"b\" has 3 noun scores: 1 view(s) of 2 classes make 2");
    let views = said("b", &[&[0.0; 6], &[0.0; 2]]);
    assert_eq!(views, "clip \"b\" has 2 noun scores: 2 view(s) of 2 classes make 4");
    assert!(said("b", &[&[0.0; 3]]).contains("[1 of clip \"b\"]"));
    assert_eq!(table.ids(), ["a"]);

    let header = ScoreHeader { values: ScoreValues::Probabilities, ..header(StoredViews::Kept) };
    let mut table = ScoreTable::new(header, &[("class", 2)]).unwrap();
    let said = table.push("b", &[&[0.5, 1.5]]).unwrap_err().to_string();
    assert_eq!(said, "the class score of clip \"b\" for class 1 is 1.5: it must be a probability, 0 to 1");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (scores, right) = four();
    let said = evaluate(Protocol::Diving48V2, &scores, &right, Missing::Refused).unwrap_err().to_string();
    assert!(said.starts_with("the scores are of [verb (3), noun (2)]: needed is what diving48-v2"), "{said}");
    let wider = truth(vec![space("verb", 4, &[]), space("noun", 2, &[])], &[("a", &[3, 0], false)]);
    let said = evaluate(Protocol::Epic100, &scores, &wider, Missing::Refused).unwrap_err();
    assert!(matches!(said, EvalError::ScoreSpaces { .. }), "{said}");
    let other = kitchen(&[("a", &[0, 0], false), ("b", &[0, 0], false), ("c", &[0, 0], false)]);
    let said = evaluate(Protocol::Epic100, &scores, &other, Missing::LeftOut).unwrap_err().to_string();
    assert!(said.starts_with("row 3 of the scores is of clip \"d\", which the annotations do not have"), "{said}");
    let empty = table(&KITCHEN, &[]);
    let said = evaluate(Protocol::Epic100, &empty, &right, Missing::Wrong).unwrap_err();
    assert!(matches!(said, EvalError::EmptyScores), "{said}");
}

#[test]
fn a_test_set_that_is_empty_or_wrongly_labelled_is_refused() {
    let said = Truth::new(vec![space("class", 2, &[])], Vec::new()).unwrap_err().to_string();
    assert_eq!(said, "the test set is empty: it has no labelled clip");
    let clip = |id: &str, label| TruthClip { id: id.to_owned(), labels: vec![label], is_unseen: false };
    let said = Truth::new(vec![space("class", 2, &[])], vec![clip("a", 1), clip("b", 2)]).unwrap_err().to_string();
    assert!(said.starts_with("clip \"b\" has the labels [2]"), "{said}");
    let said = Truth::new(vec![space("class", 2, &[])], vec![clip("a", 1), clip("a", 0)]).unwrap_err().to_string();
    assert_eq!(said, "the annotations have clip \"a\" twice");
}

#[test]
fn views_are_averaged_as_probabilities_and_as_logits() {
    // Softmaxes (0.8, 0.2), (0.4, 0.6), (0.4, 0.6) have the mean (0.5333, 0.4667); the logits' mean is (0.4621 - 0.8109) / 3.
    let view = |p: f32| [(p / (1.0 - p)).ln(), 0.0];
    let views = [view(0.8), view(0.4), view(0.4)].concat();
    let scores = table(&[("class", 2)], &[("a", &[&views])]);
    let probabilities: Vec<f64> =
        scores.averaged(0, Averaging::Probabilities).of_clip(0).iter().map(|logit| logit.exp()).collect();
    assert!((probabilities[0] - 1.6 / 3.0).abs() < 1e-6 && (probabilities[1] - 1.4 / 3.0).abs() < 1e-6);
    let logits = scores.averaged(0, Averaging::Logits);
    assert!((logits.of_clip(0)[0] - (4f64.ln() + 2.0 * (2f64 / 3.0).ln()) / 3.0).abs() < 1e-6);

    let right = truth(vec![space("class", 2, &[])], &[("a", &[0], false)]);
    let evaluation = evaluate(Protocol::Plain, &scores, &right, Missing::Refused).unwrap();
    let ways: Vec<Option<Averaging>> = evaluation.outcomes.iter().map(|outcome| outcome.averaging).collect();
    assert_eq!(ways, [Some(Averaging::Probabilities), Some(Averaging::Logits)]);
}

#[test]
fn diving48s_measures_are_those_of_scikit_learn() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/score.safetensors");
    let arrays = Tensor::read_safetensors(file).unwrap();
    let array = |name: &str| &arrays.iter().find(|(known, _)| known == name).unwrap().1;
    let labels = Vec::<i64>::try_from(array("labels")).unwrap();
    let scores = Vec::<f32>::try_from(array("scores").flatten(0, -1)).unwrap();
    let ids: Vec<String> = (0..labels.len()).map(|clip| format!("dive{clip}")).collect();
    let clips = ids.iter().zip(&labels).map(|(id, label)| TruthClip {
        id: id.clone(),
        labels: vec![*label as usize],
        is_unseen: false,
    });
    let right = Truth::new(vec![space("class", 48, &[])], clips.collect()).unwrap();
    let evaluated = |num_views: usize| {
        let mut table = ScoreTable::new(header(StoredViews::Kept), &[("class", 48)]).unwrap();
        for (id, views) in ids.iter().zip(scores.chunks_exact(3 * 48)) {
            table.push(id, &[&views[..num_views * 48]]).unwrap();
        }
        evaluate(Protocol::Diving48V2, &table, &right, Missing::Refused).unwrap()
    };
    let (single, several) = (evaluated(1), evaluated(3));
    for (evaluation, outcome, name) in [(&single, 0, "first"), (&several, 0, "probabilities"), (&several, 1, "logits")]
    {
        let want = Vec::<f64>::try_from(array(name)).unwrap();
        let found: Vec<f64> = evaluation.outcomes[outcome].metrics.iter().filter_map(|metric| metric.value).collect();
        assert_eq!(found[..2], want[..2], "{name}");
        assert!((found[2] - want[2]).abs() < 1e-15, "{name}: {} and {}", found[2], want[2]);
    }
    let confusion = Vec::<i64>::try_from(array("first_confusion").flatten(0, -1)).unwrap();
    let mut found = vec![0; 48 * 48];
    single.spaces[0].confusion.iter().for_each(|(label, answered, count)| found[label * 48 + answered] = *count as i64);
    assert_eq!(found, confusion);
    let live: BTreeSet<usize> = single.spaces[0].by_class.iter().map(|class| class.label).collect();
    assert!(live.len() == 47 && !live.contains(&30));
    assert_eq!(single.spaces[0].by_class.iter().find(|class| class.label == 7).unwrap().num_clips, 1);
}
