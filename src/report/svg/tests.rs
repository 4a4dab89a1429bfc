use super::scale::Ends;
use super::*;
use crate::report::units::Unit;

#[track_caller]
fn check_ticks(axis: (Scale, Unit), values: &[f64], ends: Ends, expected: &[(f64, &str)]) {
    let range = Axis::new("x", axis.0, axis.1).fit(values.iter().copied(), ends);
    let got: Vec<(f64, &str)> = range.ticks.iter().map(|(v, text)| (*v, text.as_str())).collect();
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (got, expected) in got.iter().zip(expected) {
        assert!((got.0 - expected.0).abs() <= 1e-9 * expected.0.abs(), "{got:?} is not {expected:?}");
        assert_eq!(got.1, expected.1);
    }
}

const GIB: f64 = 1_073_741_824.0;

#[test]
fn linear_ticks_stand_at_round_numbers_around_the_data() {
    // 97 - 3 = 94 in five steps is 18.8 each; the next round step is 20.
    let expected = [(0.0, "0"), (20.0, "20"), (40.0, "40"), (60.0, "60"), (80.0, "80"), (100.0, "100")];
    check_ticks((Scale::Linear, Unit::Plain), &[3.0, 97.0], Ends::AtTicks, &expected);
    check_ticks((Scale::Linear, Unit::Plain), &[3.0, 97.0], Ends::Tight, &expected[1..5]);
    check_ticks(
        (Scale::FromZero, Unit::Plain),
        &[3e-4],
        Ends::AtTicks,
        &[(0.0, "0"), (1e-4, "1e-4"), (2e-4, "2e-4"), (3e-4, "3e-4")],
    );
    check_ticks(
        (Scale::Linear, Unit::Plain),
        &[0.0, 20_000.0],
        Ends::Tight,
        &[(0.0, "0"), (5000.0, "5k"), (10_000.0, "10k"), (15_000.0, "15k"), (20_000.0, "20k")],
    );
}

#[test]
fn byte_ticks_are_round_in_the_unit_that_is_shown() {
    // 7 GiB in five steps is 1.4 GiB each; the next round step is 2 GiB.
    check_ticks(
        (Scale::FromZero, Unit::Bytes),
        &[7.0 * GIB],
        Ends::AtTicks,
        &[(0.0, "0"), (2.0 * GIB, "2 GiB"), (4.0 * GIB, "4 GiB"), (6.0 * GIB, "6 GiB"), (8.0 * GIB, "8 GiB")],
    );
    check_ticks(
        (Scale::Log2, Unit::Bytes),
        &[0.3 * GIB, 1.5 * GIB],
        Ends::AtTicks,
        &[(0.25 * GIB, "256 MiB"), (0.5 * GIB, "512 MiB"), (GIB, "1 GiB"), (2.0 * GIB, "2 GiB")],
    );
}

#[test]
fn logarithmic_ticks_are_powers_of_the_base() {
    check_ticks(
        (Scale::Log2, Unit::Plain),
        &[16.0, 32.0, 128.0, 0.0, f64::NAN],
        Ends::Tight,
        &[(16.0, "16"), (32.0, "32"), (64.0, "64"), (128.0, "128")],
    );
    check_ticks(
        (Scale::Log10, Unit::Plain),
        &[0.03, 40.0],
        Ends::AtTicks,
        &[(0.02, ""), (0.1, "0.1"), (1.0, "1"), (10.0, "10"), (50.0, "")],
    );
    check_ticks(
        (Scale::Log10, Unit::Plain),
        &[0.3, 1.5],
        Ends::AtTicks,
        &[(0.2, "0.2"), (0.5, "0.5"), (1.0, "1"), (2.0, "2")],
    );
}

#[test]
fn a_doubling_takes_the_same_room_everywhere_on_a_log2_axis() {
    let range = Axis::new("x", Scale::Log2, Unit::Plain).fit([16.0, 1024.0].into_iter(), Ends::Tight);
    // 16 to 1024 is six doublings.
    for (doublings, value) in [16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0].into_iter().enumerate() {
        assert!((range.place(value) - doublings as f64 / 6.0).abs() < 1e-12);
    }
}

#[test]
fn data_without_any_extent_still_gets_an_axis() {
    for scale in [Scale::Linear, Scale::FromZero, Scale::Log2, Scale::Log10] {
        for values in [&[][..], &[0.0], &[5.0, 5.0], &[f64::NAN], &[-3.0], &[1e-300], &[1e300], &[1.0, 1.0 + 2e-16]] {
            for ends in [Ends::Tight, Ends::AtTicks] {
                let range = Axis::new("x", scale, Unit::Plain).fit(values.iter().copied(), ends);
                assert!(range.place(5.0).is_finite(), "{scale:?} {values:?}");
                assert!(range.ticks.len() < 20, "{scale:?} {values:?}");
            }
        }
    }
}

fn chart(series: Vec<Series>) -> String {
    let (x, y) = (Axis::new("x", Scale::Linear, Unit::Plain), Axis::new("y", Scale::Log10, Unit::Plain));
    LineChart { title: "a < b & c".to_owned(), x, y, series, limit: None }.draw().inline()
}

#[test]
fn names_are_escaped_everywhere_in_a_chart() {
    let series = |name: &str| Series {
        name: name.to_owned(),
        points: vec![(0.0, 1.0)],
        marks: Marks::Points,
        out_of_memory: vec![1.0],
        ..Series::default()
    };
    let svg = chart(vec![series("<script>\"1\"</script>"), series("two")]);
    assert!(!svg.contains("<script>"), "{svg}");
    assert!(svg.contains("&lt;script&gt;&quot;1&quot;&lt;/script&gt;: out of memory at 1"), "{svg}");
    assert!(svg.contains("aria-label=\"a &lt; b &amp; c\""), "{svg}");
}

#[test]
fn a_value_that_the_axis_cannot_show_breaks_the_line() {
    let points = vec![(0.0, 1.0), (1.0, 10.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.0), (5.0, 10.0)];
    let svg = chart(vec![Series { points, ..Series::default() }]);
    let path = svg.split("<path d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!((path.matches('M').count(), path.matches('L').count()), (3, 1), "{path}");
    assert!(!svg.contains("NaN"));
}

#[test]
fn bars_are_as_long_as_their_values() {
    let bar = |value: f64, spread| Bar { name: "x".to_owned(), value, spread, ..Bar::default() };
    let axis = Axis::new("accuracy", Scale::FromZero, Unit::Share);
    let bars = vec![bar(0.5, Some((0.4, 1.0))), bar(0.25, None), bar(f64::NAN, None)];
    let svg = BarChart { title: String::new(), axis, bars }.draw().inline();
    // 400 units less 14 on either side are 372 for 100 %.
    let widths: Vec<&str> = svg.split("<rect").skip(1).map(|r| r.split("width=\"").nth(1).unwrap()).collect();
    let widths: Vec<&str> = widths.iter().map(|w| w.split('"').next().unwrap()).collect();
    assert_eq!(widths, ["186.0", "93.0", "0.0"]);
    assert!(svg.contains("50.0 %"), "{svg}");
    // The whisker's caps stand at 14 + 0.4 * 372 and at the right end.
    assert!(svg.contains("x1=\"162.8\"") && svg.contains("x1=\"386.0\""), "{svg}");
}

#[test]
fn long_names_are_cut_to_the_room_they_have() {
    // 13 units * 0.57 = 7.41 per character: 100 units hold 13 of them.
    assert_eq!(fitted("a-name-of-twenty-two-c", 13.0, 100.0), "a-name-of-tw…");
    assert_eq!(fitted("exactly-thirt", 13.0, 100.0), "exactly-thirt");
}
