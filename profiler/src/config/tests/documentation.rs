//! docs/configuration.md against the definitions.

use super::*;

/// The part of docs/configuration.md that is made of the definitions.
fn reference() -> String {
    let folder = Folder::new();
    let defaults = folder.load().unwrap();
    let mut values: BTreeMap<_, _> = defaults
        .sections()
        .into_iter()
        .flat_map(|(section, values)| {
            values
                .into_iter()
                .map(move |(name, value)| (KeyPath::of_name(section).with(name), value))
        })
        .collect();
    let named = [
        ("providers.*", Provider::default().written()),
        ("connectors.*", profiles::effective("any other", &Partial::default()).written()),
    ];
    for (section, settings) in named {
        let at = KeyPath::new(section.split('.'));
        values.extend(settings.into_iter().map(|(name, value)| (at.with(name), value)));
    }
    let mut text = String::new();
    let mut section = None;
    for key in keys().iter().filter(|key| key.section != "connectors.*.sources.*") {
        if section != Some(key.section) {
            section = Some(key.section);
            let title = match key.section {
                "" => "outside any section".to_owned(),
                section => format!("`[{}]`", section.replace('*', "NAME")),
            };
            text += &format!(
                "\n### {title}\n\n| setting | default | what it must be | what it does |\n|---|---|---|---|\n"
            );
        }
        let path = KeyPath::new(key.full_name().split('.'));
        let default = values.get(&path).cloned().flatten();
        let default = default.map_or("unset".to_owned(), |default| format!("`{default}`"));
        let summary: Vec<_> = key.summary.iter().map(|line| line.trim()).collect();
        let restart = match key.effect {
            Effect::Restart => " *Takes effect at the next start.*",
            Effect::Reload => "",
        };
        let name = key.full_name();
        let expected = (key.expected)();
        text +=
            &format!("| `{name}` | {default} | {expected} | {}{restart} |\n", summary.join(" "));
    }
    text
}

#[test]
fn the_documentation_has_exactly_the_settings_that_there_are() {
    const BEGIN: &str = "<!-- Made of the definitions; the tests say how. -->\n";
    const END: &str = "\n<!-- Until here. -->";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the place where the reference begins");
    let (documented, after) = rest.split_once(END).expect("the place where it ends");
    if std::env::var_os("PROFILER_WRITE_DOCUMENTATION").is_some() {
        fs::write(&file, [before, BEGIN, &reference(), END, after].concat()).unwrap();
    } else {
        let how = "run this test with PROFILER_WRITE_DOCUMENTATION=1 to write it anew";
        assert_eq!(documented, reference(), "docs/configuration.md differs; {how}");
    }
    for variable in VARIABLES {
        let row = format!("| `{}` | `{}` |", variable.name, variable.key);
        assert!(text.contains(&row), "docs/configuration.md lacks {row}");
    }
}
