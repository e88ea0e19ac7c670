use proptest::prelude::*;

use super::*;

fn refused(stated: &Partial) -> String {
    stated.over(&ResourceProfile::default()).unwrap_err().to_string()
}

#[test]
fn known_connectors_have_profiles_of_their_own() {
    let files = ResourceProfile::builtin("local_files");
    assert_eq!((files.avg_cpu_cores, files.avg_memory_mb), (0.3, 128.0));
    assert_eq!((files.max_concurrent_jobs, files.io_pattern), (Some(4), Pattern::Sequential));
    let mail = ResourceProfile::builtin("imap_mailbox");
    assert_eq!((mail.max_concurrent_jobs, mail.io_pattern), (Some(2), Pattern::Network));
    assert_eq!(mail.cpu_intensity, Intensity::Low);
    assert_eq!(ResourceProfile::builtin("video_render"), ResourceProfile::default());
    for connector in ResourceProfile::BUILTIN {
        let builtin = ResourceProfile::builtin(connector);
        assert_ne!(builtin, ResourceProfile::default());
        assert_eq!(Partial::from(&builtin).over(&ResourceProfile::default()), Ok(builtin));
    }
}

#[test]
fn an_override_changes_what_it_states_and_nothing_else() {
    let base = ResourceProfile::builtin("imap_mailbox");
    let stated = Partial { avg_memory_mb: Some(64.0), ..Partial::default() };
    let profile = stated.over(&base).unwrap();
    assert_eq!(profile, ResourceProfile { avg_memory_mb: 64.0, ..base });
}

#[test]
fn the_nearer_layer_wins() {
    let source = Partial { weight: Some(3.0), ..Partial::default() };
    let connector = Partial { weight: Some(2.0), gpu: Some(true), ..Partial::default() };
    let both = source.or(&connector);
    assert_eq!((both.weight, both.gpu), (Some(3.0), Some(true)));
}

#[test]
fn a_lower_cap_lowers_the_inherited_preference() {
    let stated = Partial { max_concurrent_jobs: Some(1), ..Partial::default() };
    let profile = stated.over(&ResourceProfile::builtin("local_files")).unwrap();
    assert_eq!(profile.preferred_concurrency, 1);
    let inherited = Partial { preferred_concurrency: Some(2), ..Partial::default() };
    assert_eq!(stated.or(&inherited).preferred_concurrency, Some(1));
    assert_eq!(inherited.or(&stated), Partial { max_concurrent_jobs: Some(1), ..inherited });
}

#[test]
fn a_lower_ceiling_lowers_the_inherited_expectation() {
    let stated = Partial { max_memory_mb: Some(64.0), ..Partial::default() };
    let inherited = Partial { avg_memory_mb: Some(128.0), ..Partial::default() };
    assert_eq!(stated.or(&inherited).avg_memory_mb, Some(64.0));
    assert!(refused(&inherited.or(&stated)).contains("max_memory_mb"));
}

#[test]
fn a_senseless_value_is_refused_by_name() {
    for (field, least, most) in RANGES {
        for value in ["0".to_owned(), format!("{}", least / 2.0), format!("{}", most * 2.0)] {
            let whole = ["max_concurrent_jobs", "preferred_concurrency"].contains(&field);
            if whole && value.contains('.') {
                continue;
            }
            let stated: Partial =
                serde_json::from_str(&format!("{{\"{field}\": {value}}}")).unwrap();
            assert!(refused(&stated).starts_with(field), "{field} {value}");
        }
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        let stated = Partial { avg_cpu_cores: Some(value), ..Partial::default() };
        assert!(refused(&stated).starts_with("avg_cpu_cores"));
    }
}

#[test]
fn a_contradiction_is_refused_by_both_names() {
    let slots = Partial {
        max_concurrent_jobs: Some(2),
        preferred_concurrency: Some(3),
        ..Partial::default()
    };
    assert_eq!(
        refused(&slots),
        "preferred_concurrency is 3, above max_concurrent_jobs, which is 2"
    );
    let memory =
        Partial { avg_memory_mb: Some(9.0), max_memory_mb: Some(8.0), ..Partial::default() };
    assert!(refused(&memory).contains("max_memory_mb"));
    let nameless = Partial { providers: Some(vec![" ".to_owned()]), ..Partial::default() };
    assert!(refused(&nameless).contains("providers"));
}

#[test]
fn a_misspelt_field_is_an_error() {
    assert!(serde_json::from_str::<Partial>(r#"{"avg_cpu_core": 1}"#).is_err());
}

proptest! {
    #[test]
    fn whatever_is_stated_what_comes_out_is_valid(
        cap in proptest::option::of(any::<u32>()),
        preferred in proptest::option::of(any::<u32>()),
        cores in proptest::option::of(any::<f64>()),
        memory in proptest::option::of(any::<f64>()),
        ceiling in proptest::option::of(any::<f64>()),
        threshold in proptest::option::of(any::<f64>()),
        weight in proptest::option::of(any::<f64>()),
    ) {
        let stated = Partial {
            max_concurrent_jobs: cap,
            preferred_concurrency: preferred,
            avg_cpu_cores: cores,
            avg_memory_mb: memory,
            max_memory_mb: ceiling,
            backpressure_threshold: threshold,
            weight,
            ..Partial::default()
        };
        for base in ["any", "local_files", "imap_mailbox"] {
            let base = ResourceProfile::builtin(base);
            if let Ok(profile) = stated.over(&base) {
                prop_assert_eq!(Partial::from(&profile).over(&base), Ok(profile));
            }
        }
    }
}
