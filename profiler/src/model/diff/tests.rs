//! Tests of the comparison: single cases, and what holds for any runs.

use proptest::prelude::*;

use super::*;
use crate::model::Source;

fn runs(cpu: &[u64]) -> Vec<Usage> {
    let usage = |cpu: &u64| Usage { cpu_ns: Some(*cpu), ..Usage::unknown(Source::Ebpf) };
    cpu.iter().map(usage).collect()
}

fn cpu_of(a: &[Usage], b: &[Usage]) -> Comparison {
    let (a, b): (Vec<&Usage>, Vec<&Usage>) = (a.iter().collect(), b.iter().collect());
    compare(&a, &b).into_iter().find(|figure| figure.name == "cpu_ns").unwrap()
}

fn verdict_of(a: &[u64], b: &[u64]) -> Verdict {
    cpu_of(&runs(a), &runs(b)).verdict
}

#[test]
fn one_run_on_a_side_never_gets_a_verdict() {
    assert_eq!(verdict_of(&[100], &[900]), Verdict::OneRun);
    assert_eq!(verdict_of(&[100], &[100]), Verdict::OneRun);
    assert_eq!(verdict_of(&[100], &[900, 910, 920, 930, 940, 950]), Verdict::OneRun);
    assert_eq!(cpu_of(&runs(&[100]), &runs(&[250])).ratio, Some(2.5));
}

#[test]
fn sets_that_lie_apart_are_told_apart() {
    assert_eq!(verdict_of(&[100, 101, 99], &[110, 108, 109]), Verdict::More);
    assert_eq!(verdict_of(&[110, 108, 109], &[100, 101, 99]), Verdict::Less);
}

#[test]
fn sets_that_overlap_are_not() {
    assert_eq!(verdict_of(&[100, 101, 110], &[110, 120, 130]), Verdict::NoDifferenceShown);
    assert_eq!(verdict_of(&[100, 120, 99], &[110, 108, 109]), Verdict::NoDifferenceShown);
}

#[test]
fn one_outlier_among_many_runs_does_not_hide_a_difference() {
    let a = [100, 101, 102, 103, 104, 105];
    assert_eq!(verdict_of(&a, &[110, 111, 112, 113, 114, 101]), Verdict::More);
}

#[test]
fn two_and_two_runs_are_too_few() {
    assert_eq!(verdict_of(&[100, 101], &[900, 901]), Verdict::TooFewRuns);
}

#[test]
fn the_same_number_in_each_run_is_equal() {
    assert_eq!(verdict_of(&[7, 7, 7], &[7, 7, 7]), Verdict::Equal);
    assert_eq!(verdict_of(&[7, 7], &[7, 7]), Verdict::Equal);
    assert_eq!(verdict_of(&[7, 7, 7], &[7, 7, 8]), Verdict::NoDifferenceShown);
}

#[test]
fn what_one_run_does_not_know_has_no_ratio() {
    let mut a = runs(&[1, 2, 3]);
    a[1].cpu_ns = None;
    let comparison = cpu_of(&a, &runs(&[1, 2, 3]));
    assert_eq!((comparison.a, comparison.ratio), (None, None));
    assert_eq!(comparison.verdict, Verdict::Unknown);
    assert!(comparison.b.is_some());
}

#[test]
fn medians_lie_between_two_runs_if_need_be() {
    let comparison = cpu_of(&runs(&[4, 1, 2, 3]), &runs(&[5, 5, 5]));
    assert_eq!(comparison.a, Some(Values { median: 2.5, min: 1, max: 4 }));
    assert_eq!(comparison.ratio, Some(2.0));
}

#[test]
fn growth_from_nothing_is_infinite_and_can_be_told() {
    let comparison = cpu_of(&runs(&[0, 0, 0]), &runs(&[5, 6, 7]));
    assert_eq!((comparison.ratio, comparison.verdict), (Some(f64::INFINITY), Verdict::More));
}

#[test]
fn what_is_nowhere_is_nothing() {
    assert!(cpu_of(&runs(&[0]), &runs(&[0])).is_nothing());
    assert!(!cpu_of(&runs(&[0]), &runs(&[1])).is_nothing());
    let unknown = [Usage::unknown(Source::Ebpf)];
    assert!(cpu_of(&unknown, &unknown).is_nothing());
    assert!(!cpu_of(&unknown, &runs(&[1])).is_nothing());
}

const fn opposite(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::More => Verdict::Less,
        Verdict::Less => Verdict::More,
        same => same,
    }
}

/// Whether `x` is 1 by `y`, 0 and infinity included.
fn inverts(x: f64, y: f64) -> bool {
    x == 1.0 / y || (x * y - 1.0).abs() < 1e-9
}

fn set() -> impl Strategy<Value = Vec<u64>> {
    // Few values: ties and zeros must come up.
    let value = prop_oneof![0..4_u64, 0..1_000_000_000_000_u64];
    prop::collection::vec(value, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_does_not_differ_from_itself(values in set()) {
        let set = runs(&values);
        let comparison = cpu_of(&set, &set);
        prop_assert_eq!(comparison.ratio, Some(1.0));
        prop_assert!(!matches!(comparison.verdict, Verdict::More | Verdict::Less));
    }

    #[test]
    fn swapping_the_sets_inverts_everything(a in set(), b in set()) {
        let (a, b) = (runs(&a), runs(&b));
        let (ab, ba) = (cpu_of(&a, &b), cpu_of(&b, &a));
        prop_assert!(inverts(ab.ratio.unwrap(), ba.ratio.unwrap()));
        prop_assert_eq!(ab.verdict, opposite(ba.verdict));
        prop_assert_eq!(ab.spread.is_some(), ba.spread.is_some());
        if let (Some(ab), Some(ba)) = (ab.spread, ba.spread) {
            prop_assert!(inverts(ab.low, ba.high) && inverts(ab.high, ba.low));
        }
    }

    #[test]
    fn the_ratio_lies_in_its_spread(a in set(), b in set()) {
        let comparison = cpu_of(&runs(&a), &runs(&b));
        if let (Some(ratio), Some(spread)) = (comparison.ratio, comparison.spread) {
            prop_assert!(spread.low <= ratio && ratio <= spread.high);
        }
    }

    #[test]
    fn scaling_b_alone_scales_the_ratio(values in set(), factor in 2..100_u64) {
        let grown: Vec<u64> = values.iter().map(|value| value * factor).collect();
        let comparison = cpu_of(&runs(&values), &runs(&grown));
        let median = comparison.a.unwrap().median;
        let expected = if median == 0.0 { 1.0 } else { factor as f64 };
        prop_assert!((comparison.ratio.unwrap() - expected).abs() < 1e-9);
    }
}
