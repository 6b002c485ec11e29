use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use auditor::pipeline::Config;
use proptest::prelude::*;

use super::dump::{example, value};
use super::file::parse;
use super::*;
use crate::cli::Command as Chosen;
use crate::commands::settings;

fn load_file(file: &str, command: &[&str]) -> Loaded {
    let path =
        std::env::temp_dir().join(format!("auditor-{}-{:?}.toml", std::process::id(), std::thread::current().id()));
    fs::write(&path, file).unwrap();
    let args = command.iter().map(|arg| OsString::from(arg.replace("FILE", &path.display().to_string())));
    let loaded = load(&args.collect::<Vec<_>>(), Source::Regular);
    let _ = fs::remove_file(&path);
    match loaded {
        Ok(loaded) => loaded,
        Err(Stop::Usage(error)) => panic!("{error}"),
        Err(Stop::Config(failure)) => panic!("{failure}"),
    }
}

fn values(loaded: &Loaded, key: &str) -> Vec<String> {
    loaded.effective.iter().find(|(name, _)| name == key).map(|(_, values)| values.clone()).unwrap_or_default()
}

#[test]
fn options_win_over_a_file_and_that_over_defaults() {
    let file = "buffer = 2\nhooks = \"syscall\"\npid = [1, 2]\nheader = [\"x-a\", \"x-b\"]\nlog-level = \"info\"\n\
                min-confidence = 0.95\noutput = [\"/tmp/a\", \"-?format=text\"]\n[[ignore]]\npath = \"/x\"\n";
    let loaded = load_file(file, &["auditor", "run", "--config", "FILE", "--pid", "3", "--buffer", "4"]);
    for (key, expected) in [
        ("buffer", vec!["4"]),
        ("pid", vec!["3"]),
        ("hooks", vec!["syscall"]),
        ("header", vec!["x-a", "x-b"]),
        ("log-level", vec!["info"]),
        ("min-confidence", vec!["0.95"]),
        ("output", vec!["/tmp/a", "-?format=text"]),
        ("ignore", vec![r#"{ path = "/x" }"#]),
        ("summary-interval", vec!["60s"]),
        ("comm", vec![]),
    ] {
        assert_eq!(values(&loaded, key), expected, "{key}");
    }
    let Chosen::Run(run) = &loaded.cli.command else { panic!() };
    assert_eq!((run.capture.pid.as_slice(), run.capture.buffer, run.output.specs.len()), (&[3][..], 4, 2));
    assert_eq!((run.headers.header.len(), run.judge.boundaries.ignores().len()), (2, 1));
}

#[test]
fn commands_take_the_keys_that_they_have() {
    let file =
        "min-severity = \"error\"\noutput = [\"/tmp/a\"]\nfail-on = \"info\"\nduration = \"5s\"\nheader = [\"x-a\"]\n";
    let check = load_file(file, &["auditor", "check", "--config", "FILE"]);
    let Chosen::Check(args) = &check.cli.command else { panic!() };
    assert_eq!((args.duration.as_secs(), args.fail_on.severity().as_str()), (5, "info"));
    let record = load_file(file, &["auditor", "record", "--config", "FILE", "--output", "x.rec"]);
    let Chosen::Record(args) = &record.cli.command else { panic!() };
    assert_eq!((args.output.to_str(), args.headers.header.len()), (Some("x.rec"), 1));
    let replay = load_file(file, &["auditor", "replay", "--config", "FILE", "x.rec"]);
    let Chosen::Replay(args) = &replay.cli.command else { panic!() };
    assert_eq!(
        (args.output.specs[0].to_string().as_str(), args.judge.min_severity.severity().as_str()),
        ("-", "error")
    );
}

#[test]
fn credentials_in_an_output_are_shown_nowhere() {
    let url = "otlp+http://u:SECRET@127.0.0.1:1/";
    let option = format!("--output={url}");
    let misspelt = format!("--outptu={url}");
    for args in [&["run", "--output", url][..], &["run", &option], &["run", &misspelt], &["replay", "x", url], &[url]] {
        let args: Vec<_> = ["auditor"].iter().chain(args).map(OsString::from).collect();
        let Err(Stop::Usage(error)) = load(&args, Source::Regular) else { panic!("{args:?}") };
        let told = error.to_string();
        assert!(!told.contains("SECRET") && !error.render().ansi().to_string().contains("SECRET"), "{told}");
    }
}

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_was_meant() {
    for (text, expected) in [
        ("min-severty = 1", "1:1: unknown key `min-severty`: did you mean `min-severity`?"),
        ("\n  min_severity = \"error\"", "2:3: unknown key `min_severity`: did you mean `min-severity`?"),
        ("config = \"x\"", "1:1: unknown key `config`"),
        ("help = true", "1:1: unknown key `help`"),
        ("[capture]\npid = [1]", "1:2: unknown key `capture`"),
        ("zzz = 1", "1:1: unknown key `zzz`: `auditor config example` lists the keys"),
        (
            "min-severity = \"warn\"",
            "1:16: min-severity: \"warn\" is not one of error, warning, info: did you mean `warning`?",
        ),
        ("buffer = 4096", "1:10: buffer: 4096 is not in 1..=1024"),
        ("buffer = [8]", "1:10: buffer: takes one value, not an array"),
        ("buffer = { a = 1 }", "1:10: buffer: takes no table"),
        ("pid = [1,\n 0]", "2:2: pid: 0 is not in 1..=4294967295"),
        ("pid = [[1]]", "1:8: pid: an array in an array"),
        ("stats-interval = \"5 parsecs\"", "1:18: stats-interval: "),
        ("stats-interval = 2026-01-01", "1:18: stats-interval: takes no date"),
        ("formats = [\"w3c\", \"zipkin\"]", "1:19: formats: no format is called \"zipkin\"; there are all, w3c"),
        ("header = [\"Cookie\"]", "1:11: header: cookie holds credentials"),
        ("exe = [\"[\"]", "1:8: exe: "),
        ("output = []", "1:10: output: names none: leave the key out"),
        ("output = [\"kafka://x\"]", "1:11: output: "),
        ("output = [\"otlp+http://u:SECRET@h\"]", "1:11: output: \"otlp+http://***@h\" must not hold credentials"),
        ("output = \"otlp+http://h?key=SECRET\"", "1:10: output: \"otlp+http://h?key=***\": key: is no option"),
        ("[[output]]\nto = \"otlp+http://u:SECRET@h\"", "\"otlp+http://***@h\" must not hold credentials"),
        ("unit = [\"a\", \"\"]", "1:14: unit: \"\" is empty"),
        ("port = [0]", "1:9: port: 0 is not in 1..=65535"),
        ("[[output]]\nto = \"a\"\nfromat = \"text\"", "3:1: output: unknown key `fromat`"),
        ("[[output]]\nfromat = \"text\"\nto = \"a\"", "did you mean `format`?"),
        ("[[ignore]]\nservce = \"a\"", "2:1: ignore: unknown key `servce`"),
        ("[[ignore]]\npath = [\"/a\", \"[\"]", "2:8: ignore: \"[\": unclosed"),
        ("[[ignore]]\nreason = \"x\"", "1:1: ignore: an entry without"),
        ("ignore = [\"code=traceparent_droped\"]", "did you mean `traceparent_dropped`?"),
        ("trust-boundary = [\"a b\"]", "1:19: trust-boundary: "),
        ("[[trust-boundary]]\ncode = \"trace_restarted\"", "trust-boundary: a trust boundary has no `code`"),
        ("buffer = 1\nbuffer = 2", "2:1: "),
        ("buffer = ", "1:10: "),
        ("= 1", "1:1: "),
    ] {
        let told = problems(text);
        assert!(told.len() == 1 && told[0].contains(expected) && !told[0].contains("SECRET"), "{text:?}: {told:?}");
    }
    assert_eq!(problems("a = 1\nbuffer = 0\npid = [0, 0]").len(), 4);
    assert!(parse("").unwrap().is_empty() && parse("# nothing\n").unwrap().is_empty());
}

/// The file that is shipped is the one that the program prints, so nothing is undocumented.
#[test]
fn the_shipped_file_explains_every_key() {
    let shipped = include_str!("../../../deploy/auditor.toml");
    assert!(shipped == example(), "write it anew: auditor config example > deploy/auditor.toml");
    let uncommented = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && !line.starts_with("##");
    let tables = shipped.split("\n\n").map(|paragraph| {
        let keys = paragraph.lines().filter(uncommented).map(|line| &line[1..]);
        keys.fold((String::new(), String::new()), |(key, table), line| {
            match table.is_empty() && !line.starts_with('[') {
                true => (format!("{key}{line}\n"), table),
                false => (key, format!("{table}{line}\n")),
            }
        })
    });
    let mut told = BTreeSet::new();
    for (key, table) in tables {
        // As it is there, each key can be used; so can its table.
        told.extend(
            parse(&key).unwrap_or_else(|_| panic!("{:?}", problems(&key))).into_iter().map(|setting| setting.key),
        );
        parse(&table).unwrap_or_else(|_| panic!("{:?}", problems(&table)));
    }
    assert_eq!(told, options().iter().map(key).collect());
}

#[test]
fn the_defaults_are_those_of_the_pipeline() {
    let loaded = load_file("", &["auditor", "run", "--config", "FILE"]);
    let Chosen::Run(run) = &loaded.cli.command else { panic!() };
    let settings = settings(&run.services, &run.judge, &run.headers).unwrap();
    assert_eq!(format!("{:?}", settings.back), format!("{:?}", Config::default()));
}

/// Every option can be given by the environment, under a name that begins alike.
#[test]
fn every_option_has_a_variable() {
    for option in options() {
        let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
        let expected = format!("AUDITOR_{}", key(&option).to_uppercase().replace('-', "_"));
        assert!(variable.as_ref().is_some_and(|name| name.starts_with(&expected)), "{expected} {variable:?}");
    }
}

proptest! {
    #[test]
    fn what_is_dumped_reads_as_it_was(values in prop::collection::vec("\\PC{1,8}|-?[0-9.e]{1,9}|[{}=\" a\n]{1,6}|inf|nan", 1..4)) {
        let text = format!("comm = {}\n", value("comm", &values, true).unwrap());
        let read = parse(&text).unwrap_or_else(|problems| panic!("{text} {problems:?}"));
        prop_assert_eq!(&read[0].values, &values);
    }

    #[test]
    fn nothing_that_a_file_says_panics(text in "(\\PC|\n){0,60}|([a-z-]{1,6}|buffer|pid|\\[\\[ignore\\]\\]\npath) = (\\PC){0,20}") {
        let _ = parse(&text);
    }
}
