use super::*;

#[test]
fn the_definition_is_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn selections_that_select_nothing_are_refused() {
    for wrong in [
        ["--pid", "0"],
        ["--pid", "-1"],
        ["--comm", ""],
        ["--cgroup", ""],
        ["--exe", ""],
        ["--unit", ""],
        ["--unit", "a,"],
        ["--unit", ".service"],
        ["--container", " "],
        ["--port", "0"],
    ] {
        assert!(Cli::try_parse_from(["auditor", "run"].into_iter().chain(wrong)).is_err(), "{wrong:?}");
    }
    assert!(Cli::try_parse_from(["auditor", "run", "--pid", "1", "--comm", "nginx"]).is_ok());
}

fn audited(arguments: &[&str]) -> Result<Selection, SelectionError> {
    let arguments = ["auditor", "replay", "file"].iter().chain(arguments);
    match Cli::try_parse_from(arguments).unwrap().command {
        Command::Replay(replay) => replay.judge.selection(&replay.headers),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_audited() {
    let names = |selection: &Selection| {
        let names = selection.formats.iter().map(|format| format.name());
        names.filter(|name| selection.tells(name)).collect::<Vec<_>>()
    };
    let all = audited(&[]).unwrap();
    assert_eq!((names(&all), all.level), (names(&Selection::default()), Level::Two));
    let some = ["--formats", "b3,w3c", "--header", "X-Tenant", "--header", "x-a,x-b", "--spec-level", "1"];
    let some = audited(&some).unwrap();
    assert_eq!((names(&some), some.level), (vec!["w3c", "b3", "x-tenant", "x-a", "x-b"], Level::One));
    assert!(matches!(audited(&["--formats", "w3c,zipkin"]), Err(SelectionError::UnknownFormat(_))));
    assert!(matches!(audited(&["--header", "Cookie"]), Err(SelectionError::Credentials(_))));
    assert!(Cli::try_parse_from(["auditor", "replay", "file", "--spec-level", "3"]).is_err());
}
