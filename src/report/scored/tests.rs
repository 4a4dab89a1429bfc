use eval::{
    Missing, Protocol, ScoreHeader, ScoreTable, ScoreValues, StoredViews, Truth, TruthClip, TruthSpace, evaluate,
};

use super::*;

/// Four clips of three classes, of which `right` are answered rightly and the last has no scores.
fn scored(name: &str, right: [bool; 3], num_views: usize) -> Scored {
    let header = ScoreHeader {
        values: ScoreValues::Logits,
        views: format!("{num_views}x1"),
        stored_views: StoredViews::Kept,
        num_failed: 1,
        partial: false,
        source: String::new(),
    };
    let mut table = ScoreTable::new(header, &[("class", 3)]).unwrap();
    for (clip, is_right) in right.into_iter().enumerate() {
        let answer = if is_right { 0 } else { 1 };
        let view: Vec<f32> = (0..3).map(|class| if class == answer { 2.0 } else { 0.0 }).collect();
        table.push(&clip.to_string(), &[&view.repeat(num_views)]).unwrap();
    }
    let classes = ["<dive>", "jump", "fall"].map(str::to_owned).to_vec();
    let space = TruthSpace { name: "class".to_owned(), classes, tail: Default::default() };
    let clip = |id: usize| TruthClip { id: id.to_string(), labels: vec![id / 3 * 2], is_unseen: false };
    let truth = Truth::new(vec![space], (0..4).map(clip).collect()).unwrap();
    let evaluation = evaluate(Protocol::Plain, &table, &truth, Missing::Wrong).unwrap();
    Scored { name: name.to_owned(), annotations: "test.h5".to_owned(), evaluation }
}

#[test]
fn a_table_names_what_is_partial_and_what_failed() {
    let text = markdown(&[scored("seed0", [true, false, true], 1)]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "### plain: test.h5, 4 clips");
    assert_eq!(lines[2], "| % (95 % interval) | seed0 (partial) |");
    assert!(lines[4].starts_with("| class top-1 | 50.00 (") && lines[6] == "| class mean class | 33.33 |", "{text}");
    assert!(text.contains("seed0: partial: 3 of 4 clips have scores; the others count as wrong."), "{text}");
    assert!(text.contains("seed0: 1 clips could not be read."), "{text}");
    assert!(text.contains("class: 2 of 3 classes have clips, 1 of them a single one."), "{text}");
}

#[test]
fn seeds_have_their_mean_and_deviation_for_each_way_of_averaging() {
    let sets = [("a", [true, true, true]), ("b", [true, false, false])].map(|(name, right)| scored(name, right, 2));
    let text = markdown(&sets);
    let header = text.lines().nth(2).unwrap();
    for title in
        ["a, mean of probabilities (partial)", "b, mean of logits", "mean ± std of 2, mean of logits (partial)"]
    {
        assert!(header.contains(title), "{title} in {header}");
    }
    // 3 and 1 of 4: 75 % and 25 %, deviation sqrt(2 * 25^2).
    assert_eq!(text.lines().nth(4).unwrap().matches("50.00 ± 35.36").count(), 2, "{text}");
}

#[test]
fn the_classes_are_listed_with_what_they_are_mistaken_for() {
    let set = scored("a", [true, false, true], 1);
    let text = class_table(&set.evaluation.spaces[0]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "    0  <dive>      3      2   66.7  jump");
    assert_eq!(lines[2], "    2  fall        1      0    0.0");
}

#[test]
fn a_confusion_has_a_cell_for_each_pair_that_occurs() {
    let set = scored("a", [true, false, true], 1);
    let svg = set.confusion_chart(&set.evaluation.spaces[0]).draw().inline();
    assert_eq!(svg.matches("<rect").count(), 2);
    // Two of the three clips of the first class: opacity 0.1 + 0.9 * 2 / 3.
    assert!(
        svg.contains("class=\"f0\" fill-opacity=\"0.700\"><title>&lt;dive&gt; answered as &lt;dive&gt;: 2"),
        "{svg}"
    );
    assert!(svg.contains("class=\"f1\" fill-opacity=\"0.400\"><title>&lt;dive&gt; answered as jump: 1"), "{svg}");
    assert!(svg.contains(">partial: 3 of 4 clips have scores</text>"), "{svg}");
    assert!(svg.contains(">the others count as wrong</text>"), "{svg}");
}
