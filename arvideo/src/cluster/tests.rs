use std::collections::BTreeSet;

use proptest::prelude::*;
use spec::{Purpose, Rng, rng_for};

use super::*;

fn rng(seed: u64) -> Rng {
    rng_for(seed, 0, 0, Purpose::ClusterOrder)
}

/// 2 x 2 x 3 boxes of 1 x 2 x 1 tokens.
fn small() -> Clusters {
    Clusters::new(Grid { t: 2, h: 4, w: 3 }, [1, 2, 1]).unwrap()
}

#[test]
fn a_cluster_is_a_box_of_neighbours() {
    // Two latent frames of 4 rows and 3 columns: 0 1 2 / 3 4 5 / 6 7 8 / 9 10 11, then 12 ..= 23.
    let clusters = small();
    assert_eq!((clusters.count(), clusters.size()), (12, 2));
    assert_eq!(clusters.tokens(0), [0, 3]);
    assert_eq!(clusters.tokens(4), [7, 10]);
    assert_eq!(clusters.tokens(11), [20, 23]);
    let deep = Clusters::new(Grid { t: 2, h: 4, w: 3 }, [2, 2, 3]).unwrap();
    assert_eq!(deep.tokens(1), [6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23]);
}

#[test]
fn the_fixed_orders_run_along_space_or_along_time() {
    let order = |kind| small().order(kind, &[], &mut rng(0));
    assert_eq!(order(Order::SpatialFirst), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    // Six places in each of two times.
    assert_eq!(order(Order::TemporalFirst), [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
}

#[test]
fn every_permutation_is_equally_likely() {
    let clusters = Clusters::new(Grid { t: 3, h: 1, w: 1 }, [1, 1, 1]).unwrap();
    let all = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut hits = [0u32; 6];
    for seed in 0..6000 {
        let order = clusters.order(Order::Random, &[], &mut rng(seed));
        hits[all.iter().position(|p| order == p).unwrap()] += 1;
    }
    // 1000 expected; the standard deviation is sqrt(6000 * 1/6 * 5/6) = 29.
    assert!(hits.iter().all(|n| n.abs_diff(1000) < 5 * 29), "{hits:?}");
}

#[test]
fn the_tokens_kept_do_not_depend_on_the_order() {
    let clusters = Clusters::new(Grid { t: 2, h: 4, w: 4 }, [1, 4, 4]).unwrap();
    let kept = clusters.draw(5, &mut rng(3));
    let inputs = |order: [usize; 2]| ClusterPlan::new(order.to_vec(), &kept, clusters.all()).inputs;
    assert_eq!((inputs([0, 1]), inputs([1, 0])), (kept[0].clone(), kept[1].clone()));
    assert!(kept[0].iter().all(|i| *i < 16) && kept[1].iter().all(|i| *i >= 16));
    assert_eq!(clusters.draw(16, &mut rng(3)), clusters.all());
}

#[test]
fn the_cluster_of_the_highest_mean_priority_is_first() {
    // Boxes 0 to 2 are columns of the upper two rows: tokens 0 3, 1 4, 2 5.
    let clusters = Clusters::new(Grid { t: 1, h: 4, w: 3 }, [1, 2, 1]).unwrap();
    let priorities = [0.0, 9.0, 1.0, 4.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0];
    // Sums 4, 9, 8, 0, 0, 2; equal ones as they are numbered.
    assert_eq!(clusters.order(Order::Priority, &priorities, &mut rng(0)), [1, 2, 0, 5, 3, 4]);
}

#[test]
fn the_top_tokens_of_a_cluster_are_those_of_highest_priority() {
    let clusters = Clusters::new(Grid { t: 1, h: 2, w: 4 }, [1, 2, 2]).unwrap();
    // Tokens 0 1 4 5 and 2 3 6 7.
    let priorities = [3.0, 1.0, 5.0, 5.0, 2.0, 9.0, 0.0, 5.0];
    assert_eq!(clusters.top(2, &priorities), [[0, 5], [2, 3]]);
    assert_eq!(clusters.top(4, &priorities), clusters.all());
}

#[test]
fn weights_are_priorities_over_their_mean() {
    let clusters = Clusters::new(Grid { t: 1, h: 1, w: 4 }, [1, 1, 2]).unwrap();
    let plan = ClusterPlan::new(vec![1, 0], clusters.all(), clusters.all());
    // Tokens 0 and 1 are predicted: 3 and 1 over 2.
    assert_eq!(plan.clone().weighted(&[3.0, 1.0, 50.0, 60.0]).weights, [1.5, 0.5]);
    assert_eq!(plan.weighted(&[0.0, 0.0, 1.0, 1.0]).weights, [1.0, 1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_cluster_but_the_first_is_predicted_once_and_each_but_the_last_is_read(
        boxes in [1i64..4, 1i64..4, 1i64..4], size in [1i64..4, 1i64..4, 1i64..4], kept in 1usize..30,
        kind in prop_oneof![
            Just(Order::Random), Just(Order::SpatialFirst), Just(Order::TemporalFirst), Just(Order::Priority)
        ],
        asked in 1usize..30, by_priority: bool, seed: u64,
    ) {
        prop_assume!(boxes != [1, 1, 1]);
        let grid = Grid { t: boxes[0] * size[0], h: boxes[1] * size[1], w: boxes[2] * size[2] };
        let clusters = Clusters::new(grid, size).unwrap();
        let kept = kept.min(clusters.size());
        let asked = asked.min(clusters.size());
        let priorities: Vec<f32> = (0..grid.num_tokens()).map(|n| (n as u64 ^ (seed % 97)) as f32).collect();
        let order = clusters.order(kind, &priorities, &mut rng(seed));
        let of_cluster =
            if by_priority { clusters.top(asked, &priorities) } else { clusters.draw(asked, &mut rng(seed ^ 2)) };
        let plan = ClusterPlan::new(order, &clusters.draw(kept, &mut rng(seed ^ 1)), &of_cluster);

        let mut sorted = plan.order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..clusters.count()).collect::<Vec<_>>());

        // Naive reference: the cluster of a token by its own definition.
        let cluster_of = |index: i64| {
            let (t, h, w) = (index / (grid.h * grid.w), index / grid.w % grid.h, index % grid.w);
            (((t / size[0]) * boxes[1] + h / size[1]) * boxes[2] + w / size[2]) as usize
        };
        let places = |tokens: &[i64]| tokens.iter().map(|i| cluster_of(*i)).collect::<Vec<_>>();
        let times = |clusters: &[usize], n: usize| clusters.iter().flat_map(|c| vec![*c; n]).collect::<Vec<_>>();
        prop_assert_eq!(places(&plan.inputs), times(&plan.order[..clusters.count() - 1], kept));
        prop_assert_eq!(places(&plan.predicted), times(&plan.order[1..], asked));

        for tokens in [&plan.inputs, &plan.predicted] {
            let distinct: BTreeSet<i64> = tokens.iter().copied().collect();
            prop_assert_eq!(distinct.len(), tokens.len());
        }
        let whole = ClusterPlan::new(plan.order.clone(), clusters.all(), clusters.all());
        let all: BTreeSet<i64> = whole.predicted.iter().chain(clusters.tokens(plan.order[0])).copied().collect();
        prop_assert_eq!(all, (0..grid.num_tokens()).collect::<BTreeSet<_>>());
    }
}
