use super::*;

/// xorshift: tests need the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// One of `count`, the first most often: every next rank has its share of what is left.
    fn skewed(&mut self, count: usize) -> usize {
        let fraction = self.below(1 << 30) as f64 / (1 << 30) as f64;
        // Inverse of the sum of 1/n.
        ((count as f64).powf(fraction) as usize).clamp(1, count) - 1
    }
}

fn name(n: usize) -> String {
    const SYLLABLES: [&str; 12] = ["al", "be", "co", "da", "el", "fi", "go", "ha", "is", "jo", "ka", "lu"];
    let mut n = n + 12;
    let mut name = String::new();
    while n > 0 {
        name += SYLLABLES[n % 12];
        n /= 12;
    }
    name
}

fn distinct(routes: &mut Routes, paths: impl Iterator<Item = String>) -> std::collections::BTreeSet<Arc<str>> {
    paths.map(|path| routes.route(0, &path)).collect()
}

#[test]
fn what_looks_like_an_id_is_replaced_at_once() {
    let mut routes = Routes::new();
    for (path, expected) in [
        ("/", "/"),
        ("*", "*"),
        ("/cart", "/cart"),
        ("/cart/", "/cart/"),
        ("//cart", "//cart"),
        ("/orders/17", "/orders/{id}"),
        ("/orders/17/items/3", "/orders/{id}/items/{id}"),
        ("/u/4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "/u/{id}"),
        ("/t/deadbeef1", "/t/{id}"),
        ("/facade/added", "/facade/added"),
        ("/v1/charge", "/v1/charge"),
        ("/k/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/k/{id}"),
        ("/a-very-long-but-readable-name-of-a-page", "/a-very-long-but-readable-name-of-a-page"),
        ("/static/app.3f2a9c1b.js", "/static/app.3f2a9c1b.js"),
        ("/orders/17.json", "/orders/{id}"),
        ("/img/deadbeef01.tar.gz", "/img/{id}"),
        ("/orders/17:confirm", "/orders/{id}"),
        ("/orders/17,18", "/orders/{id}"),
        ("/Orders(17)/Items", "/{id}/Items"),
        ("/Orders('a')", "/{id}"),
        ("/u/jane@example.com", "/u/{id}"),
        ("/api/v1.2/cart", "/api/v1.2/cart"),
        ("/lib/jquery-3.6.0.min.js", "/lib/jquery-3.6.0.min.js"),
        ("/2.0/cart.json", "/2.0/cart.json"),
        ("/@scope/name", "/@scope/name"),
        ("/a(b)/c:d,e", "/a(b)/c:d,e"),
        ("/search/%E4%BD%A0%E5%A5%BD%E4%BD%A0%E5%A5%BD", "/search/{id}"),
    ] {
        assert_eq!(&*routes.route(0, path), expected);
    }
}

#[test]
fn users_become_one_route_and_those_seen_before_with_them() {
    for count in [1000, 10_000] {
        for skewed in [false, true] {
            let (mut routes, mut dice) = (Routes::new(), Dice(7));
            assert_eq!(&*routes.route(0, "/users/alice/orders"), "/users/alice/orders");
            let mut user = || if skewed { dice.skewed(count) } else { dice.below(count) };
            let early = distinct(&mut routes, (0..400).map(|_| format!("/users/{}/orders", name(user()))));
            assert!(early.len() <= MANY + 1, "{}", early.len());
            let late = distinct(&mut routes, (0..2000).map(|_| format!("/users/{}/orders", name(user()))));
            // A user who is there all the time may stay a word.
            assert!(late.len() <= 8 && late.contains("/users/{id}/orders"), "{count} {skewed}: {late:?}");
            assert_eq!(&*routes.route(0, "/users/alice/orders"), "/users/{id}/orders");
            assert_eq!(&*routes.route(0, "/users"), "/users");
            assert_eq!(&*routes.route(1, "/users/alice/orders"), "/users/alice/orders", "another space");
        }
    }
}

#[test]
fn ids_that_several_calls_name_are_learnt_as_well() {
    let mut routes = Routes::new();
    let paths = (0..300).flat_map(|n| (0..5).map(move |call| format!("/carts/{}/{}", name(n), ["a", "b"][call % 2])));
    let all = distinct(&mut routes, paths);
    assert!(all.contains("/carts/{id}/a") && all.len() <= 2 * MANY + 2, "{}", all.len());
}

#[test]
fn words_stay() {
    for count in [3, 40, 90] {
        let (mut routes, mut dice) = (Routes::new(), Dice(7));
        // One after the other, evenly, and some more than others.
        let walked: Vec<_> = (0..count).chain(0..count).collect();
        let evenly: Vec<_> = (0..2000).map(|_| dice.below(count)).collect();
        let skewed: Vec<_> = (0..2000).map(|_| dice.skewed(count)).collect();
        for n in walked.into_iter().chain(evenly).chain(skewed) {
            let path = format!("/api/{}/list", name(n));
            assert_eq!(*routes.route(0, &path), *path, "of {count}");
        }
    }
}

#[test]
fn words_beside_values_stay() {
    let (mut routes, mut dice) = (Routes::new(), Dice(7));
    for n in 0..5000 {
        let path = match dice.below(10) {
            0..3 => "/users/me".to_owned(),
            3 => "/users/search".to_owned(),
            _ => format!("/users/{}", name(dice.below(100_000))),
        };
        let route = routes.route(0, &path);
        if n > 1000 {
            let expected = if path == "/users/me" || path == "/users/search" { &*path } else { "/users/{id}" };
            assert_eq!(&*route, expected);
        }
    }
}

#[test]
fn a_scan_does_not_merge_the_words_in_use() {
    let (mut routes, mut dice) = (Routes::new(), Dice(7));
    for _ in 0..2000 {
        routes.route(0, &format!("/{}", name(dice.below(20))));
    }
    for n in 0..1000 {
        routes.route(0, &format!("/{}.php", name(1000 + n)));
        let word = format!("/{}", name(dice.below(20)));
        assert_eq!(*routes.route(0, &word), *word);
    }
    assert_eq!(&*routes.route(0, "/another.php"), "/{id}");
}

#[test]
fn locales_slugs_and_assets() {
    let (mut routes, mut dice) = (Routes::new(), Dice(7));
    let locales = ["en", "de", "fr", "pt-BR", "zh-Hans"];
    let mut late = std::collections::BTreeSet::new();
    for n in 0..5000 {
        let locale = locales[dice.below(5)];
        let article = routes.route(0, &format!("/{locale}/blog/how-to-{}", name(dice.below(10_000))));
        let page = format!("/{locale}/{}", ["about", "press", "jobs"][dice.below(3)]);
        assert_eq!(*routes.route(0, &page), *page);
        // A release brings new names, not more of them.
        let asset = format!("/assets/index-{}.js", ["BxT4kQ9z", "Qm2LpR7a", "Zk0VnW3e"][n / 2000]);
        assert_eq!(*routes.route(0, &asset), *asset);
        if n > 3000 {
            late.insert(article);
        }
    }
    let expected = locales.map(|locale| format!("/{locale}/blog/{{id}}"));
    assert_eq!(late, expected.into_iter().map(Arc::from).collect());
}

#[test]
fn routes_depend_on_the_paths_only() {
    let run = || {
        let (mut routes, mut dice) = (Routes::new(), Dice(3));
        let mut all = Vec::new();
        for _ in 0..5000 {
            all.push(routes.route(dice.below(3) as u64, &format!("/a/{}/{}", name(dice.skewed(900)), dice.below(9))));
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn routes_are_bounded() {
    let mut routes = Routes::new();
    assert!(routes.route(0, &"/a".repeat(10_000)).len() < 300);
    assert!(routes.route(0, &"x".repeat(10_000)).len() < 300);
    assert!(routes.route(0, &"/é\u{0}\u{7f}ß".repeat(10_000)).len() < 300);
    assert!(routes.route(0, &"/".repeat(10_000)).len() < 300);
    for path in ["", "/", "//", "a", "é/é", "?", "/%", "/%zz/%"] {
        assert_eq!(&*routes.route(0, path), path);
    }
}

#[test]
fn memory_is_bounded_and_what_is_in_use_survives() {
    let (mut routes, mut dice) = (Routes::new(), Dice(9));
    // Words upon words: more than a tree holds, none of them values.
    for n in 0..30_000 {
        routes.route(0, &format!("/{}/{}/{}", name(dice.below(40)), name(dice.below(40)), name(dice.below(40))));
        if n % 20 == 0 {
            assert_eq!(&*routes.route(0, "/shop/cart"), "/shop/cart");
        }
        let (_, nodes) = routes.held();
        assert!(nodes <= TREE_CAP, "{nodes}");
    }
    for space in 0..10_000 {
        for n in 0..20 {
            routes.route(space, &format!("/{}/a", name(n)));
        }
        let (trees, nodes) = routes.held();
        assert!(trees <= TREES.get() && nodes <= FOREST_CAP, "{trees} {nodes}");
    }
    assert!(routes.evicted > 0);
    let counted: usize = routes.trees.iter().map(|(_, tree)| tree.root.size()).sum();
    assert_eq!(counted, routes.nodes);
}
