use signal_hook::consts::SIGTERM;

use super::*;

/// No patience: whoever is still there is asked at once, and killed in the next look.
const NONE: Patience = Patience { to_end: Duration::ZERO, to_obey: Duration::ZERO };
const LONG: Patience = Patience { to_end: Duration::from_secs(60), to_obey: Duration::from_secs(60) };

/// Shell scripts as ranks.
fn start(scripts: &[&str]) -> Vec<Rank> {
    let rank = |(rank, script): (usize, &&str)| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stderr(Stdio::piped());
        Rank::start(rank as u16, command).unwrap()
    };
    scripts.iter().enumerate().map(rank).collect()
}

#[track_caller]
fn failed(outcome: anyhow::Result<()>) -> String {
    outcome.unwrap_err().downcast::<RankFailed>().unwrap().to_string()
}

#[test]
fn ranks_that_all_succeed_are_a_success() {
    watch(start(&["exit 0", "echo said >&2", "true"]), Vec::new, NONE).unwrap();
}

#[test]
fn the_first_failure_is_named_and_how_it_ended() {
    // The others fail because of it, but only once they see its end.
    let waits = "exec sleep 60";
    assert_eq!(failed(watch(start(&[waits, "exit 2", waits]), Vec::new, NONE)), "rank 1 failed with exit code 2");
    let killed = watch(start(&[waits, waits, "kill -9 $$"]), Vec::new, NONE);
    assert_eq!(failed(killed), "rank 2 was ended by signal 9 (SIGKILL)");
}

#[test]
fn a_rank_that_does_not_listen_is_killed_in_the_end() {
    let deaf = "trap '' TERM; while :; do sleep 60; done";
    let began = Instant::now();
    assert_eq!(failed(watch(start(&[deaf, "exit 1"]), Vec::new, NONE)), "rank 1 failed with exit code 1");
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Interrupts two ranks, once both listen, and gives what came of it and what each has heard. A rank says that it listens
/// by making a file, writes down every signal, and ends with its exit code. Not SIGINT: what a shell starts in the background
/// has it ignored, and then a script cannot listen to it.
fn interrupt(exit_codes: [i32; 2]) -> (anyhow::Error, [String; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let files = [0, 1].map(|rank| (dir.path().join(format!("{rank}.ready")), dir.path().join(format!("{rank}.heard"))));
    let script = |rank: usize| {
        let ((ready, heard), code) = (&files[rank], exit_codes[rank]);
        format!("trap 'echo x >> {heard:?}; exit {code}' TERM; : > {ready:?}; while :; do sleep 0.01; done")
    };
    let mut sent = false;
    let arrived = || {
        let send = !sent && files.iter().all(|(ready, _)| ready.exists());
        sent |= send;
        if send { vec![SIGTERM] } else { Vec::new() }
    };
    let error = watch(start(&[&script(0), &script(1)]), arrived, LONG).unwrap_err();
    (error, files.each_ref().map(|(_, heard)| std::fs::read_to_string(heard).unwrap()))
}

#[test]
fn a_signal_is_passed_on_once_to_each_rank() {
    let (error, heard) = interrupt([130, 130]);
    assert_eq!(error.to_string(), "interrupted; all ranks have ended");
    assert_eq!(heard, ["x\n", "x\n"]);
}

#[test]
fn a_failure_during_an_interruption_is_still_a_failure() {
    let (error, _) = interrupt([130, 1]);
    assert_eq!(failed(Err(error)), "rank 1 failed with exit code 1");
}
