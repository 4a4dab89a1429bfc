use super::*;
use crate::report::page::Page;

const MEMORY_JSON: &str = r#"[
    {"num_frames": 32, "mask": "adaptive", "outcome": "ok", "peak_bytes": 2147483648,
     "step_secs": 1.5, "host": "x"},
    {"num_frames": 16, "mask": "adaptive", "outcome": "ok", "peak_bytes": 1073741824, "step_secs": 0.75},
    {"num_frames": 16, "mask": "none", "outcome": "ok", "base_bytes": 1073741824, "peak_bytes": 5368709120, "rss_bytes": 6442450944},
    {"num_frames": 32, "mask": "none", "outcome": "out_of_memory"},
    {"num_frames": 64, "mask": "none", "outcome": "failed", "peak_bytes": 1}
]"#;

#[test]
fn each_mask_is_a_line_in_order_of_frames_and_failures_are_not_points() {
    let points: Vec<Point> = serde_json::from_str(MEMORY_JSON).unwrap();
    let chart = memory_chart(&points);
    let names: Vec<&str> = chart.series.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["adaptive", "none"]);
    assert_eq!(chart.series[0].points, [(16.0, 1_073_741_824.0), (32.0, 2_147_483_648.0)]);
    assert_eq!(chart.series[1].points, [(16.0, 4_294_967_296.0)]);
    assert_eq!(chart.series[1].out_of_memory, [32.0]);
}

#[test]
fn what_was_planned_stands_beside_what_was_measured() {
    let json = r#"[
        {"num_frames": 16, "mask": "none", "outcome": "ok", "base_bytes": 1073741824, "peak_bytes": 2147483648,
         "planned_base_bytes": 1073741824, "planned_bytes": 2362232013, "memory_bytes": 17179869184},
        {"num_frames": 32, "mask": "none", "size": "l", "recompute": "every_block", "attention": "eager",
         "outcome": "out_of_memory", "planned_base_bytes": 0, "planned_bytes": 34359738368,
         "memory_bytes": 17179869184}
    ]"#;
    let points: Vec<Point> = serde_json::from_str(json).unwrap();
    let chart = memory_chart(&points);
    assert_eq!(chart.series[0].planned, [(16.0, 1_288_490_189.0)]);
    assert_eq!(chart.series[1].name, "none, L, every_block, eager");
    assert_eq!((&chart.series[1].points[..], &chart.series[1].planned[..]), (&[][..], &[(32.0, 34_359_738_368.0)][..]));
    assert_eq!(chart.limit.as_ref().unwrap().1, "all memory: 16.0 GiB");
    // 2.2 GiB instead of 2: 10 % too much.
    let table = markdown(&points);
    assert!(table.contains("| 2.00 GiB | 2.20 GiB | +10.0 % |"), "{table}");
    assert!(table.contains("| 32.0 GiB | - | - | out of memory |"), "{table}");
    // A few MiB stand nowhere near it.
    let small: Vec<Point> = points.into_iter().take(1).map(|p| Point { memory_bytes: Some(1 << 44), ..p }).collect();
    assert!(memory_chart(&small).limit.is_none());
}

#[test]
fn the_table_says_what_became_of_every_point() {
    let points: Vec<Point> = serde_json::from_str(MEMORY_JSON).unwrap();
    let html = Page { sections: vec![memory_section(&points)], ..Page::default() }.html();
    let row =
        |cells: [&str; 3]| format!("<tr>{}</tr>", cells.map(|c| format!("<td class=\"number\">{c}</td>")).concat());
    for cells in [
        ["16", "1.00 GiB", "4.00 GiB"],
        ["32", "2.00 GiB", "out of memory"],
        ["64", "–", "failed"],
        ["16", "1.00 GiB", "5.00 GiB"],
        ["16", "–", "6.00 GiB"],
        ["16", "750 ms", "–"],
    ] {
        assert!(html.contains(&row(cells)), "{cells:?} in {html}");
    }
}
