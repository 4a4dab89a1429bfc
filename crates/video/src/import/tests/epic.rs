use super::*;

/// Three segments in one video of P01, one in a video of P02 that is not there, one after the end of a video.
const EPIC_ROWS: &str = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,\
start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes
P01_01_0,P01,P01_01,00:00:00.100,00:00:00.10,00:00:00.40,1,4,take tap,take,0,tap,0,['tap'],[0]
P01_01_1,P01,P01_01,,00:00:00.30,00:00:00.90,3,9,put spoon,put,1,spoon,1,\"['spoon', 'tap']\",\"[1, 0]\"
P01_01_2,P01,P01_01,00:00:00.500,00:00:00.50,00:00:07.00,5,70,put tap,put,1,tap,0,['tap'],[0]
P01_02_0,P01,P01_02,00:00:00.500,00:00:05.00,00:00:07.00,5,70,put tap,put,1,tap,0,['tap'],[0]
P02_01_0,P02,P02_01,00:00:00.500,00:00:00.50,00:00:00.70,5,7,take tap,take,0,tap,0,['tap'],[0]
";

/// Videos P01_01 and P01_02, and the annotation files.
fn epic() -> (TempDir, ImportOptions) {
    let dir = videos(&["P01/videos/P01_01.MP4", "P01/P01_02.mp4", "P01_01.mp4"]);
    let rows = dir.path().join("EPIC_100_validation.csv");
    std::fs::write(&rows, EPIC_ROWS).unwrap();
    let write = |name: &str, keys: [&str; 2]| {
        let [first, second] = keys;
        let text = format!("id,key,instances,category\n0,{first},['{first}'],x\n1,{second},['{second}'],x\n");
        std::fs::write(dir.path().join(name), text).unwrap();
    };
    write("EPIC_100_verb_classes.csv", ["take", "put"]);
    write("EPIC_100_noun_classes.csv", ["tap", "spoon"]);
    let files = EpicFiles { rows, verbs: None, nouns: None, video_info: None };
    let options = ImportOptions { annotations: Some(Annotations::Epic100(files)), ..options(dir.path(), "clips.h5") };
    (dir, options)
}

#[test]
fn segments_of_one_epic_video_share_its_frames() {
    let (_dir, options) = epic();
    let report = run(&options).unwrap();
    // 1 s of P01_01, which is stored once and not taken from the folder's top, where another one lies.
    assert_eq!((report.num_videos, report.num_frames, report.num_segments), (2, 10 + 11, 3));
    assert_eq!(report.missing, ["P02_01"]);
    assert_eq!(report.dropped.iter().map(|dropped| &*dropped.segment).collect::<Vec<_>>(), ["P01_02_0"]);
    let store = ClipStore::open(&options.store).unwrap();
    let names: Vec<_> = store.videos().iter().map(|video| &*video.name).collect();
    assert_eq!(names, ["P01/P01_02.mp4", "P01/videos/P01_01.MP4"]);
    let rows: Vec<_> =
        store.segments().iter().map(|s| (&*s.id, s.video, s.start_secs, s.stop_secs, &*s.labels)).collect();
    assert_eq!(
        rows,
        [
            ("P01_01_0", 1, 0.1, 0.4, &[0, 0][..]),
            ("P01_01_1", 1, 0.3, 0.9, &[1, 1]),
            ("P01_01_2", 1, 0.5, 1.0, &[1, 0])
        ]
    );
    assert!(store.segments().iter().all(|s| (&*s.group, &*s.subject) == ("P01_01", "P01")));
    let spaces: Vec<_> = store.label_spaces().iter().map(|s| (&*s.name, s.classes.join(" "))).collect();
    assert_eq!(spaces, [("verb", "take put".to_owned()), ("noun", "tap spoon".to_owned())]);
}

#[test]
fn a_class_of_one_of_several_label_spaces_can_be_excluded() {
    let (_dir, mut options) = epic();
    options.exclude_labels = ["verb:take".to_owned()].into();
    run(&options).unwrap();
    let store = ClipStore::open(&options.store).unwrap();
    let rows: Vec<_> = store.segments().iter().map(|s| (&*s.id, &*s.labels)).collect();
    assert_eq!(rows, [("P01_01_1", &[0, 1][..]), ("P01_01_2", &[0, 0])]);
    assert_eq!(store.label_spaces()[0].classes, ["put"]);
}

#[test]
fn a_class_name_of_two_label_spaces_needs_the_name_of_its_space() {
    let (dir, mut options) = epic();
    std::fs::write(dir.path().join("EPIC_100_noun_classes.csv"), "id,key,instances,category\n0,tap,[],x\n1,put,[],x\n")
        .unwrap();
    options.exclude_labels = ["put".to_owned()].into();
    let said = plan_import(&options).unwrap_err().to_string();
    assert!(said.contains("excluded label = \"put\"") && said.contains("write SPACE:CLASS"), "{said}");
    options.exclude_labels = ["noun:put".to_owned()].into();
    assert_eq!(plan_import(&options).unwrap().rows.len(), 4);
}

#[test]
fn a_strict_import_refuses_what_is_missing_before_it_decodes() {
    let (dir, options) = epic();
    let said = run(&ImportOptions { strict: true, ..options }).unwrap_err().to_string();
    assert!(said.starts_with("annotated videos missing: 1 (P02_01)"), "{said}");
    assert!(!dir.path().join("clips.h5.journal").exists());
}

#[test]
fn a_strict_import_ends_at_a_segment_beyond_its_video_and_goes_on_without_strict() {
    let (dir, options) = epic();
    std::fs::copy(dir.path().join("videos/P01_01.mp4"), dir.path().join("videos/P02_01.mp4")).unwrap();
    let said = run(&ImportOptions { strict: true, ..options.clone() }).unwrap_err().to_string();
    assert!(
        said.starts_with("annotated segments that do not fit their videos: 1 (P01_02_0: it starts at 5.000 s"),
        "{said}"
    );
    assert!(!options.store.exists());
    let mut kept = 0;
    let mut on_event = |event: Event<'_>| {
        if let Event::Start { num_kept, .. } = event {
            kept = num_kept;
        }
    };
    import(&options, &mut on_event, &AtomicBool::new(false)).unwrap();
    assert_eq!(kept, 3);
}
