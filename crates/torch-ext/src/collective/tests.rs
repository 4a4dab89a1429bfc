use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::IntoRawFd as _;
use std::process::{Child, Command, Stdio};

use tch::{Device, Kind, nn};

use super::*;

/// `rank/num_ranks/port/scene` for a process that is one of the ranks of a test.
const CHILD: &str = "LONGVID_TEST_RANK";

/// Not a test by itself: one rank of the tests below, which says on stdout how its scene ended.
#[test]
fn child_of_the_rank_tests() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [rank, num_ranks, port, scene] = told.split('/').collect::<Vec<_>>().try_into().unwrap();
    let at = Rendezvous {
        addr: "127.0.0.1".into(),
        port: port.parse().unwrap(),
        rank: rank.parse().unwrap(),
        num_ranks: num_ranks.parse().unwrap(),
        store: if scene == "outside" { StoreHost::Outside { attempt: 2 } } else { StoreHost::Rank0 },
        interface: None,
        timeout: Duration::from_secs(if ["silent", "late", "absent"].contains(&scene) { 2 } else { 60 }),
    };
    let began = Instant::now();
    let outcome = Group::connect(&at).and_then(|group| {
        println!("\n@joined");
        play(scene, &group)
    });
    match outcome {
        Ok(()) => println!("\n@done"),
        Err(err) => println!("\n@error {err}"),
    }
    assert!(began.elapsed() < Duration::from_secs(30), "too late");
}

fn play(scene: &str, group: &Group) -> Result<(), GroupError> {
    let rank = group.rank();
    match scene {
        "numbers" => numbers(group),
        "gradients" => gradients(group),
        // Rank 1 is killed from outside while the others wait for it.
        "killed" if rank == 1 => wait_forever(),
        "silent" if rank == 1 => wait_forever(),
        // Comes once the others have given it up.
        "late" if rank == 1 => {
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            group.barrier()
        }
        // Rank 2 notices long after the others have gone.
        "killed" if rank == 2 => {
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            group.barrier()
        }
        "killed" | "silent" => group.sum(&[Tensor::ones([1 << 20], (Kind::Float, Device::Cpu))]),
        "stopped" if rank == 1 => {
            group.stop("no space left on device\nand a stack");
            group.barrier()
        }
        "stopped" => group.barrier(),
        "shapes" => group.sum(&[Tensor::zeros([2, 3 + i64::from(rank == 2)], (Kind::Float, Device::Cpu))]),
        "calls" if rank == 0 => group.max_values(&mut [1.0]),
        "calls" => group.sum_values(&mut [1.0]),
        _ => group.barrier(),
    }
}

fn wait_forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// Lists of mixed types and sizes across the borders of buckets, against sums done by hand.
fn numbers(group: &Group) -> Result<(), GroupError> {
    let (rank, n) = (group.rank() as f64, group.num_ranks() as f64);
    let kinds = [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Int64, Kind::Half];
    // 9 and 30 MiB of floats: three fit into a bucket, the large one into none.
    let lengths = [3, 9 << 18, 9 << 18, 0, 1, 30 << 18, 9 << 18, 7];
    let made = || -> Vec<Tensor> {
        let sized = lengths.iter().enumerate();
        let kind = |i: usize, len: i64| if len < 10 { kinds[i % kinds.len()] } else { Kind::Float };
        sized.map(|(i, len)| Tensor::full([*len], rank + i as f64, (kind(i, *len), Device::Cpu))).collect()
    };
    let check = |list: &[Tensor], want: &dyn Fn(f64) -> f64| {
        for (i, tensor) in list.iter().enumerate().filter(|(_, tensor)| tensor.numel() > 0) {
            let wide = tensor.to_kind(Kind::Double);
            let (low, high) = (wide.min().double_value(&[]), wide.max().double_value(&[]));
            assert_eq!((low, high), (want(i as f64), want(i as f64)), "tensor {i}");
        }
    };
    let ranks_sum = n * (n - 1.0) / 2.0;
    let list = made();
    group.sum(&list)?;
    check(&list, &|i| n * i + ranks_sum);
    let list = made();
    group.broadcast(&list)?;
    check(&list, &|i| i);
    let list: Vec<Tensor> = made().into_iter().filter(|tensor| tensor.kind() != Kind::Int64).collect();
    let firsts: Vec<f64> = list.iter().map(|t| if t.numel() > 0 { t.double_value(&[0]) - rank } else { 0.0 }).collect();
    group.mean(&list)?;
    check(&list, &|i| firsts[i as usize] + ranks_sum / n);

    // Not contiguous, and a parameter that autograd watches.
    let square = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([2, 2]) * (rank + 1.0);
    let turned = square.tr().set_requires_grad(true);
    group.sum(&[turned.shallow_clone()])?;
    assert_eq!(square, Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([2, 2]) * (ranks_sum + n));

    let mut values = [rank, -rank];
    group.max_values(&mut values)?;
    assert_eq!(values, [n - 1.0, 0.0]);
    group.sum_values(&mut values)?;
    assert_eq!(values, [n * (n - 1.0), 0.0]);
    group.barrier()
}

/// The mean over ranks of the gradients of equal shares is the gradient of the whole batch.
fn gradients(group: &Group) -> Result<(), GroupError> {
    let (rank, n) = (group.rank() as i64, group.num_ranks() as i64);
    // libtorch's generator belongs to the process, and this one runs no other test.
    tch::manual_seed(7 + rank);
    let vs = nn::VarStore::new(Device::Cpu);
    let (a, b) = (nn::linear(vs.root() / "a", 64, 96, Default::default()), vs.root().zeros("b", &[96]));
    let mut params = vec![a.ws.shallow_clone(), b];
    params.extend(a.bs.as_ref().map(Tensor::shallow_clone));
    group.broadcast(&params)?;
    tch::manual_seed(99);
    let x = Tensor::randn([8 * n, 64], (Kind::Float, Device::Cpu));
    let grads = |x: &Tensor| -> Vec<Tensor> {
        for param in &params {
            param.grad().f_zero_().ok();
        }
        let y = x.apply(&a).gelu("none") * &params[1].exp();
        (y - 0.5).square().mean(Kind::Float).f_backward().unwrap();
        params.iter().map(|param| param.grad().copy()).collect()
    };
    let whole = grads(&x);
    let shares = grads(&x.narrow(0, 8 * rank, 8));
    group.mean(&shares)?;
    for (share, whole) in shares.iter().zip(&whole) {
        let off = (share - whole).abs().max().double_value(&[]);
        assert!(off < 1e-6 && whole.abs().max().double_value(&[]) > 1e-3, "off by {off:e}");
    }
    Ok(())
}

/// One rank as a process.
struct Rank {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Rank {
    fn start(rank: usize, num_ranks: usize, (port, scene): (u16, &str)) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "collective::tests::child_of_the_rank_tests", "--nocapture"])
            .env(CHILD, format!("{rank}/{num_ranks}/{port}/{scene}"))
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Rank { child, lines }
    }

    /// The next thing that the rank says; empty at its end.
    fn says(&mut self) -> String {
        let lines = (&mut self.lines).lines().map(|line| line.unwrap());
        lines.filter_map(|line| line.strip_prefix('@').map(str::to_owned)).next().unwrap_or_default()
    }

    /// Waits for the end: the last thing said, and everything on stderr.
    fn end(mut self) -> (String, String) {
        drop(self.child.stdin.take());
        let said = self.says();
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said} {err}");
        (said, err)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn start(scene: &str, num_ranks: usize) -> Vec<Rank> {
    let port = free_port();
    let mut ranks: Vec<Rank> = (0..num_ranks).map(|rank| Rank::start(rank, num_ranks, (port, scene))).collect();
    for rank in &mut ranks {
        assert_eq!(rank.says(), "joined");
    }
    ranks
}

/// Every rank ends with the same words and nothing on stderr.
#[track_caller]
fn expect_all(ranks: Vec<Rank>, want: &str) {
    for (rank, child) in ranks.into_iter().enumerate() {
        assert_eq!(child.end(), (want.to_owned(), String::new()), "rank {rank}");
    }
}

#[test]
fn sums_means_and_broadcasts_of_three_ranks_are_those_done_by_hand() {
    expect_all(start("numbers", 3), "done");
}

#[test]
fn the_mean_of_two_and_four_ranks_gradients_is_the_whole_batchs() {
    expect_all(start("gradients", 2), "done");
    expect_all(start("gradients", 4), "done");
}

#[test]
fn a_killed_rank_is_named_by_all_others_even_by_one_that_notices_late() {
    let mut ranks = start("killed", 4);
    ranks[1].child.kill().unwrap();
    ranks[1].child.wait().unwrap();
    let lost = ("error rank 1 ended in the middle of the run".to_owned(), String::new());
    let late = ranks.remove(2);
    ranks.remove(1);
    for rank in ranks {
        assert_eq!(rank.end(), lost);
    }
    // Its stdin ends only now that ranks 0, which served the store, and 3 are gone too.
    assert_eq!(late.end(), lost);
}

#[test]
fn a_rank_that_hangs_is_named_after_the_timeout() {
    let mut ranks = start("silent", 3);
    let mut hung = ranks.remove(1);
    expect_all(ranks, "error rank 1 did not answer for 2 s");
    hung.child.kill().unwrap();
    hung.child.wait().unwrap();
}

#[test]
fn a_rank_that_comes_too_late_learns_that_it_was_given_up() {
    let mut ranks = start("late", 3);
    let late = ranks.remove(1);
    ranks.push(late);
    expect_all(ranks, "error rank 1 did not answer for 2 s");
}

#[test]
fn ranks_meet_in_a_store_that_none_of_them_serves_and_that_remembers_an_earlier_attempt() {
    let served = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = served.local_addr().unwrap().port();
    let address = gloo::StoreAddress { host: "127.0.0.1", port, prefix: "longvid/1" };
    let store = gloo::Store::open(&address, Some(served.into_raw_fd()), Duration::from_secs(60)).unwrap();
    for (key, left_over) in [("letters/0", "127.0.0.1:1"), ("letters/1", "127.0.0.1:2"), ("absent", "1")] {
        store.set(key, left_over).unwrap();
    }
    let ranks = [0, 1].map(|rank| {
        let mut rank = Rank::start(rank, 2, (port, "outside"));
        rank.child.stdin.take();
        rank
    });
    let said = ranks.map(|mut rank| (rank.says(), rank.end().0));
    assert_eq!(said, [(); 2].map(|()| ("joined".to_owned(), "done".to_owned())));
}

#[test]
fn a_rank_that_stops_tells_the_others_why() {
    let mut ranks = start("stopped", 3);
    let stopped = ranks.remove(1).end().0;
    assert_eq!(stopped, "error the ranks are no longer connected, after an earlier failure");
    expect_all(ranks, "error rank 1 stopped: no space left on device");
}

#[test]
fn ranks_that_never_come_are_named_by_all_that_did() {
    let port = free_port();
    let ranks = [0, 2].map(|rank| Rank::start(rank, 4, (port, "absent")));
    expect_all(ranks.into(), "error ranks 1 and 3 of 4 did not join within 2 s");
}

#[test]
fn a_rank_0_that_never_comes_is_an_address_without_answer() {
    let port = free_port();
    let want = format!(
        "error nobody answers at 127.0.0.1:{port} after 2 s: rank 0 did not come or cannot be reached; \
         check MASTER_ADDR and MASTER_PORT"
    );
    expect_all(vec![Rank::start(1, 2, (port, "absent"))], &want);
}

#[test]
fn lists_and_calls_that_differ_between_ranks_are_refused_by_all() {
    for (scene, want) in [
        ("shapes", ["rank 0 sums 1 tensors of 6 values", "rank 2 sums 1 tensors of 8 values"]),
        ("calls", ["rank 0 takes the maximum of 1 tensors of 1 values", "rank 1 sums 1 tensors of 1 values"]),
    ] {
        for rank in start(scene, 3) {
            let (said, noise) = rank.end();
            assert!(said.starts_with("error the ranks do not do the same") && noise.is_empty(), "{said}{noise}");
            assert!(want.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}

#[test]
fn a_taken_port_and_a_rank_started_twice_are_said() {
    let taken =
        std::net::TcpListener::bind(("::", 0)).or_else(|_| std::net::TcpListener::bind(("0.0.0.0", 0))).unwrap();
    let port = taken.local_addr().unwrap().port();
    let want =
        format!("error rank 0 cannot listen on port {port}; set MASTER_PORT to a free one, the same for all ranks");
    expect_all(vec![Rank::start(0, 2, (port, "absent"))], &want);

    let port = free_port();
    let first = Rank::start(0, 3, (port, "twice"));
    let mut ones = [1, 1].map(|rank| Rank::start(rank, 3, (port, "twice")));
    let twice = "error rank 1 has joined twice; give every process a RANK of its own";
    // One of the two is in, the other is told and ends; only then the third rank lets the group come together and go.
    while ones.iter_mut().all(|rank| rank.child.try_wait().unwrap().is_none()) {
        std::thread::yield_now();
    }
    let last = Rank::start(2, 3, (port, "twice"));
    let mut said: Vec<String> = ones.iter_mut().map(Rank::says).collect();
    said.sort();
    assert_eq!(said, [twice, "joined"]);
    drop((first.end(), last.end(), ones.map(Rank::end)));
}

#[test]
fn one_rank_needs_no_other() {
    let group = Group::alone();
    let list = [Tensor::from_slice(&[1.0f32, 2.0])];
    group.sum(&list).unwrap();
    group.mean(&list).unwrap();
    assert_eq!((list[0].double_value(&[1]), group.is_first()), (2.0, true));
}

/// A virtual table of gloo in our object could be taken in place of libtorch's own: the stub headers know no others.
#[test]
fn the_shim_emits_no_class_of_gloos() {
    let archive = std::path::Path::new(env!("OUT_DIR")).join("liblongvid_shim.a");
    let listed = Command::new("nm").arg("-C").arg(archive).output().unwrap();
    let symbols = String::from_utf8(listed.stdout).unwrap();
    assert!(symbols.contains("U c10d::ProcessGroupGloo::ProcessGroupGloo("), "nm reads the shim");
    let emitted = |line: &&str| {
        let of_gloo = line.contains("gloo::") || line.contains("GlooStore");
        of_gloo && ["vtable for", "typeinfo for", "typeinfo name for"].iter().any(|what| line.contains(what))
    };
    assert_eq!(symbols.lines().find(emitted), None);
}
