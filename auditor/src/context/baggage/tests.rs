//! Each rule fires, and keeps quiet about what looks like it and is legal.

use proptest::prelude::*;

use super::list::KEYS_CAP;
use super::*;
use crate::context::testing::{beyond, compare, head, names, read, reason, shown, status};

fn faults(received: &str, sent: &str) -> Vec<&'static str> {
    let faults = compare(&BAGGAGE, &[("baggage", received)], &[("baggage", sent)]).faults;
    faults.iter().map(|fault| fault.rule.name).collect()
}

#[test]
fn members_by_themselves() {
    for legal in [
        "a=1",
        "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
        "userId=Am%C3%A9lie,serverNode=DF%2028",
        "a==b==,b=",
        "a=1,,\t,b=2;",
        "!#$%&'*+-.^_`|~=100%",
    ] {
        assert_eq!(reason(&BAGGAGE, &[("baggage", legal)]), None, "{legal}");
    }
    for (value, why) in [
        ("a", "delimiter"),
        ("a;b=1", "delimiter"),
        ("=1", "key"),
        ("a b=1", "key"),
        ("ä=1", "key"),
        ("a=1 2", "value"),
        ("a=\"1\"", "value"),
        ("a=Amélie", "value"),
        ("a={\\}", "value"),
        ("a=1;b c", "property"),
        ("a=1;=2", "property"),
        ("a=1;b=\"", "property"),
    ] {
        assert_eq!(reason(&BAGGAGE, &[("baggage", value)]), Some(why), "{value}");
    }
    assert_eq!(read(&BAGGAGE, &[("baggage", " , ")]), None);
    let fields = [("Baggage", "user=jane"), ("baggage", "secret=x;y=z")];
    assert_eq!((&*shown(&BAGGAGE, &fields), read(&BAGGAGE, &fields).unwrap().identity), ("user,secret", None));
    let received = read(&BAGGAGE, &[("baggage", "a=1 2")]).unwrap();
    let sent = read(&BAGGAGE, &[("baggage", "me=1,a=1 2,b")]).unwrap();
    assert_eq!(beyond(&sent, Some(&received)).len(), 1);
}

#[test]
fn what_became_of_the_list() {
    let one = |value| vec![("baggage", value)];
    for (received, sent, expected) in [
        (one("a=1"), one("a=1"), Status::PassedThrough),
        (one("a=1,b=2"), vec![("Baggage", "a=1"), ("baggage", "b=2")], Status::PassedThrough),
        (one("a=1"), one("me=2,a=1"), Status::Continued),
        (one("a=1"), one("a=2"), Status::Continued),
        (one("a=1"), one(""), Status::Dropped),
        (one("a=1"), vec![], Status::Dropped),
        (vec![], one("a=1"), Status::Started),
        (vec![], vec![], Status::Absent),
        (one(""), vec![], Status::Absent),
        // Nobody has to carry on what cannot be read.
        (one("a=1,b"), vec![], Status::Unknown),
    ] {
        assert_eq!(status(&BAGGAGE, &received, &sent), expected, "{received:?} {sent:?}");
    }
    assert_eq!(compare(&BAGGAGE, &one("a=1"), &one("b=1")).status, Status::Restarted);
    let large = "a=1".to_owned() + &",k=v".repeat(64);
    assert_eq!(status(&BAGGAGE, &one(&large), &[]), Status::Unknown);
}

#[test]
fn members_survive_while_there_is_room() {
    let long = format!("a=1,b={},c=3", "v".repeat(90));
    let listed = format!("a={},b=2;ttl=30,c=3", "v".repeat(64));
    for (received, sent, code) in [
        ("a=1,b=2", "b=2", "baggage_member_removed"),
        ("a=1,b=2", "me=3", "baggage_member_removed"),
        (&long, &long[..70], "baggage_member_truncated"),
        // Only listed keys go on, and no properties.
        (&listed, &listed[..70], "baggage_member_removed"),
    ] {
        assert_eq!(faults(received, sent), [code], "{received} {sent}");
    }
    let full: Vec<_> = (0..64).map(|n| format!("k{n}=v")).collect();
    let (full, shorter) = (full.join(","), full[..63].join(","));
    let wide = format!("a={},b={}", "v".repeat(4000), "v".repeat(4000));
    let huge = format!("a=1,b={}", "v".repeat(5000));
    for (received, sent) in [
        ("a=1,b=2", "b=2,a=1"),
        ("a=1,b=2", "b = 2 , me=3,a=1;p"),
        // Updates, to whatever value.
        ("a=12,b=2", "a=1,b=2"),
        ("a=Am%c3%a9lie", "a=Am%C3%A9lie"),
        // Duplicates.
        ("a=1,a=2", "a=2"),
        // Malformed ones, or all beside them.
        ("a=1,b,c=3", "c=3"),
        ("a=1,b,c=3", "a=1"),
        // No room.
        (&full, &format!("me=1,{shorter}")),
        (&wide, &format!("me={},{}", "v".repeat(300), &wide[..4002])),
        (&huge, "a=1"),
    ] {
        assert_eq!(faults(received, sent), Vec::<&str>::new(), "{received} {sent}");
    }
}

#[test]
fn jaegers_fields_are_members() {
    let (user, tenant) = (("uberctx-user", "jane"), ("Uberctx-Tenant", "a%20b"));
    let of = |received: &[_], sent: &[_]| {
        let compared = compare(&UBERCTX, received, sent);
        (compared.status, names(&compared.faults).first().map(|fault| fault.0))
    };
    let both = [user, tenant];
    assert_eq!(shown(&UBERCTX, &both), "user,Tenant");
    assert_eq!(read(&UBERCTX, &[("uberctx-", "x"), ("uberctx-a", " "), ("uberctx", "x"), ("baggage", "a=1")]), None);
    for (received, sent, expected) in [
        (&both[..], &both[..], (Status::PassedThrough, None)),
        (&both, &[("UBERCTX-TENANT", "a b"), ("Uberctx-User", "jane")], (Status::Continued, None)),
        (&both, &[user], (Status::Continued, Some("baggage_member_removed"))),
        (&both, &[("uberctx-own", "1")], (Status::Restarted, Some("baggage_member_removed"))),
        (&both, &[], (Status::Dropped, None)),
        (&[], &both, (Status::Started, None)),
        (&[], &[], (Status::Absent, None)),
        // A shorter value is another value, whatever is gone behind it.
        (&both, &[("uberctx-user", "j")], (Status::Continued, Some("baggage_member_removed"))),
        // A service that goes over to W3C.
        (&both, &[("baggage", "user=jane,tenant=a%20b")], (Status::Continued, None)),
        (&both, &[("baggage", "user=jane"), tenant], (Status::Continued, None)),
        (&both, &[("baggage", "user=jane")], (Status::Continued, Some("baggage_member_removed"))),
        (&both, &[("baggage", "own=1")], (Status::Dropped, None)),
    ] {
        assert_eq!(of(received, sent), expected, "{received:?} {sent:?}");
    }
    // As .NET does before version 10.
    let draft = [("Correlation-Context", "user = jane, tenant=7")];
    assert_eq!(status(&BAGGAGE, &[("baggage", "user=jane,tenant=7")], &draft), Status::Continued);
    assert_eq!(read(&BAGGAGE, &draft), None);
    // What is larger than SDKs propagate.
    let large = format!("user={}", "x".repeat(4100));
    assert_eq!(status(&BAGGAGE, &[("baggage", &large)], &[]), Status::Unknown);
    assert_eq!(status(&BAGGAGE, &[("baggage", &format!("{large},a=1"))], &[]), Status::Dropped);
    // And back.
    assert_eq!(status(&BAGGAGE, &[("baggage", "user=1,tenant=2")], &both), Status::Continued);
    let many: Vec<_> = (0..65).map(|n| format!("uberctx-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(of(&many, &[]), (Status::Unknown, None));
}

proptest! {
    #[test]
    fn members_come_back(
        members in prop::collection::vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,80}", "[!#-+\\--:<-\\[\\]-~]{0,20}"), 1..40),
        lines in 1usize..4,
    ) {
        let text: Vec<_> = members.iter().map(|(key, value)| format!("{key} =\t{value};p;q={value}")).collect();
        let lines: Vec<_> = text.chunks(text.len().div_ceil(lines)).map(|line| line.join(" ,\t")).collect();
        let head = head(&lines.iter().map(|line| ("baggage", line.as_str())).collect::<Vec<_>>());
        let list = list::w3c(Fields(&head));
        prop_assert!(list.malformed.is_empty());
        prop_assert!(list.members.iter().map(|m| m.key).eq(members.iter().map(|m| m.0.as_str())));
        prop_assert!(list.evidence().len() <= KEYS_CAP + 8);
    }

    #[test]
    fn whoever_keeps_the_members_is_never_accused(list in "([a-e]=[!-~]{0,9},){0,9}", own in "[a-z]{1,9}") {
        let sent = format!("{own}=1,{list}");
        prop_assert_eq!(faults(&list, &sent), Vec::<&str>::new());
        prop_assert_eq!(faults(&list, &list), Vec::<&str>::new());
    }

    #[test]
    fn any_bytes_will_do(lines: Vec<Vec<u8>>) {
        let head = lines.into_iter().map(|line| ("baggage", line)).collect();
        let reading = BAGGAGE.read(Fields(&head), Level::Two);
        prop_assert!(reading.is_none_or(|reading| reading.faults.len() <= 4));
        prop_assert!(BAGGAGE.evidence(Fields(&head)).len() <= KEYS_CAP + 8);
    }
}
