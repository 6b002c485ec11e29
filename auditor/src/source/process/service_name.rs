//! What a service is called: CONTRACT `service.name`.

use super::containers::Names;
use super::placement::Placement;

/// Digits of a container's id that people know it by.
const SHORT_ID: usize = 12;

/// The first that there is: what the process declares, a unit within the container, what Kubernetes calls it, the unit,
/// what the runtime calls the container, its id, the script, the executable.
///
/// Replicas have one name, and two services never share one because their containers are both called `app`.
pub(super) fn service_name(
    declared: Option<String>,
    placement: &Placement,
    names: &Names,
    script: Option<String>,
    executable: &str,
) -> String {
    let unit = |inside: bool| placement.unit.clone().filter(|_| placement.unit_is_inside == inside);
    let kubernetes = || {
        names.pod.uid.as_ref()?;
        match (names.pod.workload(), names.container.as_deref()) {
            (Some(workload), Some(container)) if workload != container => Some(format!("{workload}/{container}")),
            (workload, container) => container.or(workload).map(str::to_owned),
        }
    };
    let container = || names.workload.clone().or_else(|| names.container.clone());
    let id = || placement.container_id.as_ref().map(|id| id.chars().take(SHORT_ID).collect());
    declared
        .or_else(|| unit(true))
        .or_else(kubernetes)
        .or_else(|| unit(false).filter(|_| placement.pod_uid.is_none()))
        .or_else(container)
        .or_else(id)
        .or(script)
        .unwrap_or_else(|| executable.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::kubernetes::Pod;
    use super::*;

    #[test]
    fn the_most_telling_name_wins() {
        let text = |text: &str| Some(text.to_owned());
        let placement = |container: bool, unit: Option<&str>, inside| Placement {
            container_id: container.then(|| "0123456789abcdef".repeat(4)),
            unit: unit.map(str::to_owned),
            unit_is_inside: inside,
            ..Placement::default()
        };
        let pod = |name: &str| Pod { name: text(name), namespace: text("store"), uid: text("u") };
        let none = Names::default();
        let named = Names { container: text("store-web-1"), workload: text("store-web"), ..Names::default() };
        let app = Names { container: text("app"), pod: pod("cart-7d9f8b6c5d-x2x8z"), ..Names::default() };
        let cart = Names { container: text("cart"), ..app.clone() };
        let unnamed = Names { container: None, ..app.clone() };
        let plain = placement(false, None, false);
        let unit = placement(false, Some("nginx"), false);
        let container = placement(true, None, false);
        let quadlet = placement(true, Some("shop"), false);
        let inside = placement(true, Some("nginx"), true);
        let name = |declared: Option<&str>, placement: &Placement, names: &Names| {
            service_name(declared.map(str::to_owned), placement, names, text("app.py"), "python3")
        };
        for (placement, names, expected) in [
            (&plain, &none, "app.py"),
            (&unit, &none, "nginx"),
            (&container, &none, "0123456789ab"),
            (&container, &named, "store-web"),
            (&container, &app, "cart/app"),
            (&container, &cart, "cart"),
            (&container, &unnamed, "cart"),
            (&quadlet, &named, "shop"),
            (&inside, &named, "nginx"),
        ] {
            assert_eq!(name(None, placement, names), expected, "{placement:?} {names:?}");
            assert_eq!(name(Some("declared"), placement, names), "declared");
        }
        assert_eq!(service_name(None, &plain, &none, None, "python3"), "python3");
        // A misplaced container of Kubernetes: the unit is the runtime's, whatever it is called.
        let misplaced = Placement { pod_uid: text("u"), ..quadlet };
        assert_eq!(name(None, &misplaced, &none), "0123456789ab");
    }
}
