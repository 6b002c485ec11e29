//! Takes the secrets out of a command line: what stays are program and script names, flags and plain words.
//!
//! Which argument is a secret nobody tells us, so what may be one is masked: everything after `=` or `:`, whatever
//! follows an option that takes a secret, user information and queries of URLs, long random tokens, and text that is no
//! plain word. A flag too many masked costs a glance at `ps`; a password too few cannot be taken back.

use super::process::script::is_interpreter;

/// Stands for what was taken out.
pub(super) const MASK: &str = "***";

/// Options with one dash and one letter whose value may be a secret: headers, users, passwords, cookies, data,
/// environment, code. The value may be attached.
const LETTERS: &[char] = &['H', 'u', 'U', 'p', 'P', 'b', 'd', 'e', 'F', 'a', 'w'];
/// Long options with one dash that look like such letters, and have nothing to hide.
const WORDS: &[&str] = &[
    "addr",
    "bind",
    "cp",
    "daemon",
    "debug",
    "dev",
    "dir",
    "ea",
    "enableassertions",
    "esa",
    "path",
    "pid",
    "port",
    "profile",
    "web",
];
/// A long option with any of these in its name may take a secret.
const NAMES: &[&str] = &[
    "auth", "bearer", "body", "conn", "cookie", "cred", "data", "dsn", "env", "eval", "form", "header", "jwt", "key",
    "licence", "license", "login", "pass", "pin", "private", "proxy", "pw", "salt", "secret", "session", "sign",
    "token", "user",
];

/// The arguments without secrets, the program first. A process that renames itself has all of them in the first.
pub(super) fn redact(arguments: &[String]) -> Vec<String> {
    let (program, rest) = arguments.split_first().map_or(("", arguments), |(first, rest)| (first.as_str(), rest));
    let mut title = program.split_whitespace();
    let mut redacted: Vec<String> = title.next().map(program_name).into_iter().collect();
    let mut secret = false;
    // The letters of an interpreter are no secret options: what follows `python -u` is the script.
    let mut before_script = is_interpreter(program);
    for argument in title.chain(rest.iter().map(String::as_str)) {
        let masked = if secret { MASK.to_owned() } else { self::argument(argument) };
        redacted.push(masked);
        before_script &= argument.starts_with('-');
        // What follows a secret option may be its value or, if it takes none, the next secret option.
        secret = (argument.starts_with("--") || !before_script) && takes_secret(argument);
    }
    redacted
}

/// A path; a file may be called anything. A title has a colon after it.
fn program_name(name: &str) -> String {
    let path = name.trim_end_matches(':');
    if is_plain(path) && !path.contains(['=', ':', '@']) { name.to_owned() } else { argument(name) }
}

fn argument(argument: &str) -> String {
    // Text, or code: its first word may say what it is.
    if let Some((word, _)) = argument.split_once(char::is_whitespace) {
        let word = self::argument(word);
        return if word == MASK { word } else { format!("{word} {MASK}") };
    }
    let equals = argument.find('=').unwrap_or(argument.len());
    if let Some((scheme, rest)) = argument.split_once("://").filter(|(scheme, _)| scheme.len() < equals) {
        return url(scheme, rest);
    }
    if let Some((name, _)) = argument.split_once('=') {
        return format!("{}={MASK}", word(name));
    }
    match argument.strip_prefix('-').and_then(|option| option.chars().next()) {
        Some(letter) if is_attached(argument) => format!("-{letter}{MASK}"),
        _ => word(argument),
    }
}

/// Host and path stay.
fn url(scheme: &str, rest: &str) -> String {
    let scheme = if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c)) { scheme } else { MASK };
    let (place, query) = match rest.find(['?', '#']) {
        Some(at) => (rest.get(..at).unwrap_or_default(), format!("?{MASK}")),
        None => (rest, String::new()),
    };
    let (authority, path) = place.split_once('/').map_or((place, None), |(authority, path)| (authority, Some(path)));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    // A password may hold what ends an authority.
    if user.is_none() && rest.contains('@') {
        return format!("{scheme}://{MASK}");
    }
    let user = user.map_or("", |_| "***@");
    let path = path.map(|path| format!("/{}", segments(path))).unwrap_or_default();
    format!("{scheme}://{user}{}{path}{query}", segment(host))
}

fn word(word: &str) -> String {
    let dashes = word.len() - word.trim_start_matches('-').len();
    let (dashes, word) = word.split_at(dashes);
    format!("{dashes}{}", segments(word))
}

/// Each part of a path for itself.
fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn segment(segment: &str) -> String {
    match segment.rsplit_once('@') {
        _ if !is_plain(segment) => MASK.to_owned(),
        Some((_, host)) => format!("{MASK}@{}", self::segment(host)),
        None => match segment.split_once(':') {
            // A port.
            Some((host, port)) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{}:{port}", self::segment(host))
            }
            Some((name, _)) => format!("{}:{MASK}", self::segment(name)),
            None if is_random(segment) => MASK.to_owned(),
            None => segment.to_owned(),
        },
    }
}

/// What words and file names consist of.
fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || "/._-+,~@:=[]".contains(c))
}

/// Whether the next argument may be a secret.
fn takes_secret(argument: &str) -> bool {
    let Some(option) = argument.strip_prefix('-') else { return false };
    let Some(name) = option.strip_prefix('-').or((option.chars().count() > 1).then_some(option)) else {
        return option.chars().next().is_some_and(|letter| LETTERS.contains(&letter));
    };
    // Its value is there, or none.
    if name.contains('=') || is_attached(argument) || WORDS.contains(&option) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    // Letters in a row: the last one may take a value.
    let row = !argument.starts_with("--") && name.len() <= 4 && option.ends_with(LETTERS);
    row || NAMES.iter().any(|secret| name.contains(secret))
}

/// `-uname:password`: one letter and its value.
fn is_attached(argument: &str) -> bool {
    let Some(option) = argument.strip_prefix('-') else { return false };
    let mut letters = option.chars();
    let letter = letters.next();
    let value = letters.as_str();
    let named = WORDS.contains(&option) || NAMES.iter().any(|name| option.to_ascii_lowercase().starts_with(name));
    letter.is_some_and(|letter| LETTERS.contains(&letter)) && !value.is_empty() && !named
}

/// Made by a machine.
fn is_random(word: &str) -> bool {
    let joined: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut runs = word.split(|c: char| !c.is_alphanumeric());
    runs.any(is_random_run) || joined.chars().count() >= 16 && changes(&joined) * 4 >= joined.chars().count()
}

/// Long, or not so long and changing between lower case, upper case and digits all the time, or with many digits, or
/// without what makes a word.
fn is_random_run(run: &str) -> bool {
    let length = run.chars().count();
    let digits = run.chars().filter(char::is_ascii_digit).count();
    let lower = run.chars().filter(|c| c.is_lowercase()).count();
    match length {
        0..10 => false,
        10..12 => digits == length,
        12..16 => digits == length || changes(run) * 3 >= length,
        16..32 => digits >= 3 || lower == 0 || changes(run) * 3 >= length,
        _ => true,
    }
}

/// How many characters are of another kind than the one before.
fn changes(run: &str) -> usize {
    let kind = |c: char| (c.is_ascii_digit(), c.is_uppercase());
    run.chars().zip(run.chars().skip(1)).filter(|(a, b)| kind(*a) != kind(*b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` between arguments.
    fn line(arguments: &str) -> String {
        redact(&arguments.split('|').map(str::to_owned).collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn programs_flags_and_plain_words_stay() {
        for plain in [
            "nginx|-g|daemon",
            "nginx: worker process",
            "bash|-e|/srv/start.sh",
            "/usr/bin/python3.11|-u|/srv/shop-2.0/app.py|--port|8080|--verbose",
            "python3|-m|gunicorn|shop.wsgi|--workers|4|--bind|0.0.0.0:8080",
            "node|server.js|--region|eu-west-1|prod",
            "java|-Xmx1g|-ea|-jar|/opt/order-service-2.7.3-SNAPSHOT.jar|com.example.OrderServiceApplication2",
            "/srv/shop/target/deps/shop-0123456789abcdef|run",
            "curl|-sS|https://backend:8443/orders/4711",
            "sleep|1",
        ] {
            assert_eq!(line(plain), plain.replace('|', " "));
        }
        assert_eq!(line(""), "");
        assert_eq!(redact(&[]), [""; 0]);
    }

    #[test]
    fn secrets_go() {
        for (arguments, left) in [
            ("curl|--header|authorization: Bearer hunter2|http://h/x", "curl --header *** http://h/x"),
            ("curl|-H|authorization: Bearer hunter2", "curl -H ***"),
            ("curl|-Hauthorization:hunter2", "curl -H***"),
            ("curl|-u|user:hunter2|-b|id=hunter2|-d|hunter2", "curl -u *** -b *** -d ***"),
            ("curl|-uuser:hunter2|-sSu|user:hunter2", "curl -u*** -sSu ***"),
            ("curl|--data-binary|hunter2|--cookie|hunter2", "curl --data-binary *** --cookie ***"),
            ("mysql|-phunter2|--password=hunter2|shop", "mysql -p*** --password=*** shop"),
            ("app|--token=hunter2|--api-key|hunter2|--port=80", "app --token=*** --api-key *** --port=***"),
            ("app|-password|hunter2|-token|hunter2", "app -password *** -token ***"),
            ("app|--license|hunter2|-licence-key|hunter2", "app --license *** -licence-key ***"),
            ("app|--password|-hunter2|--verbose", "app --password *** --verbose"),
            // An option may take no value.
            ("app|-e|--token|hunter2|end", "app -e *** *** end"),
            ("docker|run|-e|KEY=hunter2|--env|hunter2|shop", "docker run -e *** --env *** shop"),
            ("env|DB_PASSWORD=hunter2|java|-Dkey=hunter2", "env DB_PASSWORD=*** java -Dkey=***"),
            ("app|http://u:hunter2@host:80/x?key=hunter2#hunter2", "app http://***@host:80/x?***"),
            ("app|http://u:hunter2/hunter2@host/x", "app http://***"),
            ("app|jdbc:mysql://host/db?password=hunter2", "app jdbc:mysql://host/db?***"),
            ("app|--url=http://u:hunter2@host", "app --url=***"),
            ("app|redis://:hunter2@cache:6379/0", "app redis://***@cache:6379/0"),
            ("app|scott:hunter2@db|user:hunter2", "app ***@db user:***"),
            (
                "app|https://hooks.slack.com/services/T0/B0/hT7XqL2pZ9sVw4Kd",
                "app https://hooks.slack.com/services/T0/B0/***",
            ),
            ("app|{\"password\":\"hunter2\"}|'hunter2'", "app *** ***"),
            ("sh|-c|curl -H 'authorization: hunter2' http://h", "sh -c curl ***"),
            ("python3|-c|password='hunter2'", "python3 -c password=***"),
            ("node|-e|hunter2()", "node -e ***"),
            ("app: --token hunter2 serve", "app: --token *** serve"),
            ("app|password: hunter2", "app password: ***"),
            ("bash|-e|deploy.sh|-p|hunter2", "bash -e deploy.sh -p ***"),
        ] {
            let redacted = line(arguments);
            assert!(!redacted.contains("hunter2"), "{arguments}: {redacted}");
            assert_eq!(redacted, left, "{arguments}");
        }
    }

    #[test]
    fn random_tokens_go() {
        for token in [
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "sk-proj-Ab3dE5gH7jK9",
            "AKIAIOSFODNN7EXAMPL3",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N",
            "550e8400-e29b-41d4-a716-446655440000",
            "d41d8cd98f00b204e9800998ecf8427e",
            "QWxhZGRpbjpvcGVuU2VzYW1l",
            "491234567890",
        ] {
            assert_eq!(line(&format!("app|{token}|--{token}|/run/{token}/x")), "app *** --*** /run/***/x", "{token}");
        }
    }

    #[test]
    fn odd_arguments_are_survived() {
        for odd in ["app|-|--|=|:|@|://|?| |é=ü|-é|-uü|--ü", " |  ", "\u{fffd}|\u{0}", ":|::::", "@@:@|a://b://c@d"]
        {
            line(odd);
        }
    }
}
