//! The name of the program that an interpreter runs.

use crate::source::command_line::MASK;

/// Programs whose arguments say more than they do.
const INTERPRETERS: &[&str] = &[
    "python", "pypy", "node", "ruby", "perl", "php", "bash", "sh", "dash", "java", "deno", "bun", "dotnet", "lua",
    "luajit",
];

/// `python3 -u /srv/shop/app.py --port 80` → `app.py`.
///
/// `arguments` without secrets, the first is the program or what the process calls itself.
pub(super) fn script_name(executable: &str, arguments: &[String]) -> Option<String> {
    let (title, rest) = arguments.split_first()?;
    if !is_interpreter(executable) {
        return None;
    }
    // A title that a process gave itself: `puma 6.4.0 (tcp://…) [shop]`, `sidekiq 7.2 shop`.
    if !is_interpreter(title) {
        return plain(title.trim_end_matches(':'));
    }
    let family = family(title);
    let mut rest = rest.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match after(family, argument) {
            After::Program => return rest.next().and_then(plain),
            After::Code => return None,
            After::Value => {
                rest.next();
            }
            After::Nothing if argument.starts_with('-') || argument.is_empty() || argument.contains(MASK) => {}
            // A subcommand, or an argument file of Java.
            After::Nothing if argument == "run" && matches!(family, "deno" | "bun" | "dotnet") => {}
            After::Nothing if family == "java" && argument.starts_with('@') => {}
            After::Nothing => return plain(argument),
        }
    }
    None
}

/// What follows an option.
enum After {
    Nothing,
    Value,
    /// The name of the program.
    Program,
    /// The program itself.
    Code,
}

fn after(family: &str, option: &str) -> After {
    match (family, option) {
        ("python" | "pypy", "-m") | ("java", "-jar" | "-m" | "--module") => After::Program,
        ("python" | "pypy" | "bash" | "sh" | "dash", "-c")
        | ("node" | "bun", "-e" | "--eval" | "-p" | "--print")
        | ("perl" | "ruby" | "lua" | "luajit", "-e" | "-E")
        | ("php", "-r") => After::Code,
        ("python" | "pypy", "-W" | "-X")
        | (
            "node" | "bun",
            "-r" | "--require" | "--import" | "--loader" | "--experimental-loader" | "-C" | "--conditions",
        )
        | ("ruby" | "perl", "-r" | "-I" | "-C")
        | ("php", "-c" | "-d")
        | ("lua" | "luajit", "-l")
        | (
            "java",
            "-cp"
            | "-classpath"
            | "--class-path"
            | "-p"
            | "--module-path"
            | "--add-modules"
            | "--add-opens"
            | "--add-exports"
            | "--add-reads"
            | "--enable-native-access",
        ) => After::Value,
        _ => After::Nothing,
    }
}

/// Of the path of a program.
pub(in crate::source) fn is_interpreter(program: &str) -> bool {
    INTERPRETERS.contains(&family(program))
}

/// `/usr/bin/python3.11` → `python`.
fn family(program: &str) -> &str {
    basename(program).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
}

fn plain(name: &str) -> Option<String> {
    let name = basename(name);
    (!name.is_empty() && !name.contains(MASK)).then(|| name.to_owned())
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(executable: &str, line: &str) -> Option<String> {
        script_name(executable, &line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn interpreters_give_the_name_of_the_script() {
        for (executable, line, name) in [
            ("python3.11", "python3 -u /srv/app.py --port 80", "app.py"),
            ("python3.11", "/srv/venv/bin/python -X dev -W ignore app.py", "app.py"),
            ("python3.11", "python3 -m gunicorn app", "gunicorn"),
            ("node", "node /srv/server.js", "server.js"),
            ("node", "node --require ./tracing.js --import file.mjs server.js", "server.js"),
            ("node", "node -r ./tracing.js server.js", "server.js"),
            ("node", "node --token *** server.js", "server.js"),
            ("java", "java -Xmx1g -jar /opt/shop.jar", "shop.jar"),
            (
                "java",
                "java -Xmx1g -cp /opt/a.jar:/opt/b.jar @args com.example.OrderMain serve",
                "com.example.OrderMain",
            ),
            ("java", "/opt/jdk/bin/java -p mods -m shop/com.example.Main", "com.example.Main"),
            ("dotnet", "dotnet run Shop.dll", "Shop.dll"),
            ("bun", "bun run index.ts", "index.ts"),
            ("ruby3.1", "puma: cluster worker 0: 12 [shop]", "puma"),
            ("ruby", "sidekiq 7.2.0 shop [0 of 5 busy]", "sidekiq"),
            ("node", "npm start", "npm"),
            ("bash", "/bin/sh /etc/init.d/shop start", "shop"),
            ("bash", "bash -e deploy.sh", "deploy.sh"),
        ] {
            assert_eq!(script(executable, line).as_deref(), Some(name), "{line}");
        }
        for (executable, line) in [
            ("python3", "python3 -c print()"),
            ("python3", "python3"),
            ("nginx", "nginx -c x"),
            ("java", "java -jar /opt/***"),
            ("java", "java -cp a.jar"),
            ("node", "node -e ***"),
            ("ruby", "***"),
        ] {
            assert_eq!(script(executable, line), None, "{line}");
        }
        assert_eq!(script_name("python3", &[]), None);
    }
}
