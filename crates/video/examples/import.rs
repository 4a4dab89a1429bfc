#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let ann = a.get(4).map(|p| video::Annotations::from_path(std::path::Path::new(p), None).unwrap());
    let o = video::ImportOptions {
        folder: a[1].clone().into(), store: a[2].clone().into(), annotations: ann, groups: None, exclude_labels: Default::default(),
        frames: video::StoreOptions { short_side_px: 64, max_frames_per_sec: None },
        time_limit: std::time::Duration::from_secs(60), num_workers: a[3].parse().unwrap() };
    let r = video::import(&o, &mut |e| match e {
        video::Event::Start { begin, num_files, num_kept } => println!("{begin:?} {num_files} kept {num_kept}"),
        video::Event::File { name, rejected, .. } => println!("{name}: {}", rejected.unwrap_or("ok")) }, &std::sync::atomic::AtomicBool::new(false));
    match r { Ok(r) => println!("{} videos {} frames {} segments dropped {:?} missing {:?} id {}", r.num_videos, r.num_frames, r.num_segments, r.dropped, r.missing, r.store_id),
      Err(e) => { let mut s: Option<&dyn std::error::Error> = Some(&e); while let Some(x) = s { print!("{x}: "); s = x.source(); } println!(); std::process::exit(1) } }
}
