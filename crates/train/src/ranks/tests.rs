use super::*;

const TORCHRUN: &[(&str, &str)] = &[
    ("RANK", "5"),
    ("WORLD_SIZE", "8"),
    ("LOCAL_RANK", "1"),
    ("LOCAL_WORLD_SIZE", "4"),
    ("MASTER_ADDR", "10.0.0.7"),
    ("MASTER_PORT", "29500"),
];
const SRUN: &[(&str, &str)] = &[
    ("SLURM_PROCID", "3"),
    ("SLURM_STEP_NUM_TASKS", "4"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_STEP_NODELIST", "gpu[03-07,9],other"),
    ("SLURM_JOB_ID", "8123456"),
];

/// Variables with changes; an empty value takes one away.
fn with(base: &[(&str, &str)], changes: &[(&str, &str)]) -> Result<Option<Launched>, TrainError> {
    let all = changes.iter().chain(base);
    launched(|name| all.clone().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

fn rendezvous(addr: &str, port: u16, (rank, num_ranks): (usize, usize)) -> Rendezvous {
    let timeout = Duration::from_secs(300);
    Rendezvous { addr: addr.into(), port, rank, num_ranks, store: StoreHost::Rank0, interface: None, timeout }
}

#[test]
fn a_process_without_a_launcher_trains_alone() {
    for alone in [
        &[][..],
        &[("MASTER_ADDR", "left over"), ("SLURM_JOB_ID", "1")],
        // A batch script of four tasks that does not use srun.
        &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "0"), ("SLURM_JOB_NODELIST", "a[1-2]")],
    ] {
        assert_eq!(with(alone, &[]).unwrap(), None);
    }
    assert_eq!(with(SRUN, &[("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "1")]).unwrap(), None);
}

#[test]
fn torchruns_variables_are_understood() {
    let plain = Launched { rendezvous: rendezvous("10.0.0.7", 29500, (5, 8)), local_rank: 1, num_local_ranks: 4 };
    assert_eq!(with(TORCHRUN, &[]).unwrap(), Some(plain.clone()));
    assert_eq!(with(TORCHRUN, SRUN).unwrap(), Some(plain.clone()), "torchrun inside a SLURM job");

    let told = with(
        TORCHRUN,
        &[
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("LONGVID_DIST_TIMEOUT", "7"),
            ("GLOO_SOCKET_IFNAME", "eth1,eth2"),
            ("LOCAL_WORLD_SIZE", ""),
        ],
    );
    let rendezvous = Rendezvous {
        store: StoreHost::Outside { attempt: 2 },
        timeout: Duration::from_secs(7),
        interface: Some("eth1".into()),
        ..plain.rendezvous
    };
    assert_eq!(told.unwrap(), Some(Launched { rendezvous, local_rank: 1, num_local_ranks: 1 }));
}

#[test]
fn sruns_variables_are_understood() {
    // 15000 and the job's last four digits.
    let plain = Launched { rendezvous: rendezvous("gpu03", 18456, (3, 4)), local_rank: 1, num_local_ranks: 1 };
    assert_eq!(with(SRUN, &[]).unwrap(), Some(plain.clone()));
    let told = with(SRUN, &[("MASTER_ADDR", "head"), ("MASTER_PORT", "4000"), ("SLURM_NTASKS_PER_NODE", "2")]);
    let head = Launched { rendezvous: rendezvous("head", 4000, (3, 4)), num_local_ranks: 2, ..plain.clone() };
    assert_eq!(told.unwrap(), Some(head));
    let older = with(SRUN, &[("SLURM_STEP_NUM_TASKS", ""), ("SLURM_NTASKS", "4")]);
    assert_eq!(older.unwrap(), Some(plain));
}

#[test]
fn the_first_host_of_a_short_form_is_found() {
    for (list, want) in [
        ("node1", Some("node1")),
        ("node1,node2", Some("node1")),
        ("node[03-07,9],other", Some("node03")),
        ("node[9,03-07]", Some("node9")),
        ("other,node[03-07]", Some("other")),
        ("rack[2-3]-node[10-12].lab", Some("rack2-node10.lab")),
        ("node[03-07", None),
        ("node]3", None),
        (",node1", None),
        ("", None),
    ] {
        assert_eq!(first_host(list).as_deref(), want, "{list}");
    }
}

#[test]
fn what_is_missing_or_contradicts_is_said_with_its_variable_value_and_remedy() {
    for (base, change, want) in [
        (TORCHRUN, ("WORLD_SIZE", ""), "WORLD_SIZE is not set, but others are: torchrun and longvid launch set RANK"),
        (TORCHRUN, ("LOCAL_RANK", ""), "LOCAL_RANK is not set, but others are"),
        (TORCHRUN, ("MASTER_ADDR", ""), "MASTER_ADDR is not set, but others are"),
        (TORCHRUN, ("RANK", "8"), "RANK = \"8\" must be below WORLD_SIZE = 8"),
        (TORCHRUN, ("RANK", "-1"), "RANK = \"-1\" is not a number that fits"),
        (TORCHRUN, ("WORLD_SIZE", "two"), "WORLD_SIZE = \"two\" is not a number that fits"),
        (TORCHRUN, ("MASTER_PORT", "70000"), "MASTER_PORT = \"70000\" is not a number that fits"),
        (TORCHRUN, ("LOCAL_RANK", "4"), "LOCAL_RANK = \"4\" must be below LOCAL_WORLD_SIZE = 4"),
        (TORCHRUN, ("LONGVID_DIST_TIMEOUT", "0"), "LONGVID_DIST_TIMEOUT = \"0\" must be at least 1 second"),
        (SRUN, ("SLURM_LOCALID", ""), "SLURM_LOCALID is not set, but others are: srun sets it"),
        (SRUN, ("SLURM_PROCID", "4"), "SLURM_PROCID = \"4\" must be below SLURM_STEP_NUM_TASKS = 4"),
        (SRUN, ("SLURM_STEP_NODELIST", "a[1"), "SLURM_STEP_NODELIST = \"a[1\" is no list of hosts; set MASTER_ADDR"),
        (SRUN, ("SLURM_JOB_ID", "j7"), "SLURM_JOB_ID = \"j7\" is not a number that fits"),
    ] {
        let said = with(base, &[change]).unwrap_err().to_string();
        assert!(said.starts_with(want), "{said}");
    }
}
