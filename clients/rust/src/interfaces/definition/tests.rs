use super::*;

#[test]
fn what_was_read_shows_as_it_was_written() {
    let text = "# About\n# this.\ninterface a.b-c\n\n# lost\n\n# A type.\ntype T (x: ?[]int, y: [string](a, b_c))\n\
                method M(t: T) -> () # after\nerror E ()\n";
    let interface = Interface::parse(text).unwrap();
    assert_eq!((interface.name.as_str(), interface.comment.as_str()), ("a.b-c", "About\nthis."));
    let shown: Vec<String> = interface.members.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["type T (x: ?[]int, y: [string](a, b_c))", "method M(t: T) -> ()", "error E ()"]
    );
    let comments: Vec<&str> = interface.members.iter().map(|m| m.comment.as_str()).collect();
    assert_eq!(comments, ["A type.", "", "after"]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let wrong = |text: &str| Interface::parse(text).unwrap_err().to_string();
    assert_eq!(wrong(""), "line 1: expected interface");
    assert_eq!(wrong("interface a\n\ntype t ()"), "line 3: t does not begin with a capital");
    assert_eq!(
        wrong("interface a\ntype T (a, b: int)"),
        "line 2: some fields have a type, some have none"
    );
    assert_eq!(wrong("interface a\ntype T (a: int"), "line 2: expected \")\"");
    assert_eq!(wrong("interface a\nmethod M() - ()"), "line 2: expected \"->\"");
    assert_eq!(wrong("interface a\ntype T ()\nerror T ()"), "line 3: T is defined twice");
    assert_eq!(wrong("interface a\nthing T ()"), "line 2: thing is no type, method or error");
    let deep = format!("interface a\ntype T {}int", "[]".repeat(100_000));
    assert_eq!(wrong(&deep), "line 2: types are nested too deeply");
}
