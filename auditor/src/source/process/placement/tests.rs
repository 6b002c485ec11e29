//! Paths as the runtimes make them.

use super::*;

const ID: &str = "3f4d9c0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2a190";
const OTHER: &str = "ffffffff8b7a6f5e4d3c2b1a09f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2ffff";
const UID: &str = "2f1c9a3e-7b60-4d0e-9f3a-5c8e6b1d2a47";
const STATIC_UID: &str = "0123456789abcdef0123456789abcdef";

/// `ID`, `UID` and `U_I_D` (with underscores) stand for real ones; what is found, as `container pod unit`.
fn found(text: &str) -> (Option<&'static str>, Option<&'static str>, Option<String>, bool) {
    let text = text.replace("U_I_D", &UID.replace('-', "_")).replace("UID", UID).replace("OTHER", OTHER);
    let text = text.replace("STATIC", STATIC_UID).replace("ID", ID);
    let placement = Placement::parse(&text);
    let id = placement.container_id.map(|id| if id == ID { "ID" } else { "another" });
    let pod = placement.pod_uid.map(|uid| match uid.as_str() {
        UID => "UID",
        STATIC_UID => "STATIC",
        _ => "another",
    });
    (id, pod, placement.unit, placement.unit_is_inside)
}

#[test]
fn containers_and_pods_of_every_runtime() {
    for (text, id, pod) in [
        // Docker: systemd and cgroupfs driver, v2 and v1, rootless, in Docker.
        ("0::/system.slice/docker-ID.scope", Some("ID"), None),
        ("0::/docker/ID", Some("ID"), None),
        ("12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/containerd.service", Some("ID"), None),
        ("11:memory:/system.slice/docker-ID.scope\n0::/", Some("ID"), None),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", Some("ID"), None),
        ("0::/docker/OTHER/docker/ID", Some("ID"), None),
        // containerd: CRI with both drivers, v2 and v1, nerdctl, a misconfigured cgroup driver.
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/cri-containerd-ID.scope",
            Some("ID"),
            Some("UID"),
        ),
        ("0::/kubepods.slice/kubepods-podU_I_D.slice/cri-containerd-ID.scope", Some("ID"), Some("UID")),
        ("0::/kubepods/besteffort/podUID/ID", Some("ID"), Some("UID")),
        ("9:cpuset:/kubepods/podUID/ID\n1:name=systemd:/kubepods/podUID/ID\n0::/", Some("ID"), Some("UID")),
        (
            "0::/system.slice/containerd.service/kubepods-besteffort-podU_I_D.slice:cri-containerd:ID",
            Some("ID"),
            Some("UID"),
        ),
        ("0::/system.slice/nerdctl-ID.scope", Some("ID"), None),
        ("0::/default/ID", Some("ID"), None),
        // CRI-O, with the container's own subgroup as well.
        (
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_I_D.slice/crio-ID.scope",
            Some("ID"),
            Some("UID"),
        ),
        ("0::/kubepods.slice/kubepods-podU_I_D.slice/crio-ID.scope/container", Some("ID"), Some("UID")),
        ("0::/kubepods.slice/kubepods-podU_I_D.slice/crio-conmon-ID.scope", None, Some("UID")),
        // Podman: root, rootless, cgroupfs, in a pod of its own, and what watches over it.
        ("0::/machine.slice/libpod-ID.scope/container", Some("ID"), None),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", Some("ID"), None),
        ("0::/libpod_parent/libpod-ID", Some("ID"), None),
        ("0::/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope", Some("ID"), None),
        ("0::/machine.slice/libpod-conmon-ID.scope", None, None),
        // kind, k3d: a node in a container. The kubelet's own slices.
        (
            "0::/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_I_D.slice/cri-containerd-ID.scope",
            Some("ID"),
            Some("UID"),
        ),
        // Seen from a cgroup namespace of one's own.
        ("0::/../../kubepods-burstable-podU_I_D.slice/cri-containerd-ID.scope", Some("ID"), Some("UID")),
        ("0::/../cri-containerd-ID.scope", Some("ID"), None),
        // A pod from a file of the node; ECS; Mesos has UUIDs, which are no ids of a runtime.
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            Some("ID"),
            Some("STATIC"),
        ),
        ("3:cpu:/ecs/STATIC/ID", Some("ID"), None),
        ("0::/mesos/2f1c9a3e-7b60-4d0e-9f3a-5c8e6b1d2a47", None, None),
        ("0::/kubepods.slice", None, None),
        ("0::/", None, None),
        ("", None, None),
        ("nonsense\n0:\n:::::", None, None),
    ] {
        let (found_id, found_pod, ..) = found(text);
        assert_eq!((found_id, found_pod), (id, pod), "{text}");
    }
}

#[test]
fn units_of_systemd() {
    for (text, unit) in [
        ("0::/system.slice/nginx.service", Some("nginx")),
        ("4:memory:/system.slice/x\n1:name=systemd:/system.slice/nginx.service\n0::/", Some("nginx")),
        ("0::/system.slice/nginx.service/worker", Some("nginx")),
        // Instances are services of their own: what they have in common only who wrote the template knows.
        ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service", Some("postgresql@15-main")),
        ("0::/system.slice/system-shop\\x2dapi.slice/shop-api@8080.service", Some("shop-api@8080")),
        ("0::/system.slice/web\\x2dfront@a\\x40b.service", Some("web-front@a@b")),
        ("0::/system.slice/odd\\x2.service", Some("odd\\x2")),
        ("0::/system.slice/_cpu.service", Some("cpu")),
        // User managers.
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", Some("foo")),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-foo@1f.service", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-term-12.scope", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("0::/user.slice/user-0.slice/user@0.service", None),
        ("0::/user.slice/user-1000.slice/session-3.scope", None),
        ("0::/init.scope", None),
        // Scopes by name, and those of one run.
        ("0::/system.slice/batch.scope", Some("batch")),
        ("0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope", Some("machine-qemu-1-web")),
        ("0::/system.slice/run-r0123456789abcdef0123456789abcdef.scope", None),
        ("0::/system.slice/run-u12.service", None),
        ("0::/system.slice/run-p12-i34.service", None),
        ("0::/system.slice/run-shop.service", Some("run-shop")),
        // What starts programs of others names none of them.
        ("0::/system.slice/cron.service", None),
        ("0::/system.slice/ssh.service", None),
        ("0::/system.slice/supervisor.service", None),
        ("0::/system.slice/pm2-root.service", None),
        ("0::/system.slice/docker.service", None),
        ("0::/system.slice/containerd.service/kubepods-podU_I_D.slice:cri-containerd:ID", None),
        // Containers are no units, but a unit may run one (Podman's Quadlet), or run in one.
        ("0::/system.slice/docker-ID.scope", None),
        ("0::/machine.slice/libpod-conmon-ID.scope", None),
        ("0::/system.slice/shop.service/libpod-payload-ID", Some("shop")),
    ] {
        let (_, _, found, inside) = found(text);
        assert_eq!(found.as_deref(), unit, "{text}");
        assert!(!inside, "{text}");
    }
    assert_eq!(found("0::/docker/ID/system.slice/nginx.service"), (Some("ID"), None, Some("nginx".to_owned()), true));
    let lxc = Placement::parse("0::/lxc.payload.web/system.slice/nginx.service");
    assert_eq!((lxc.lxc.as_deref(), lxc.unit.as_deref(), lxc.unit_is_inside), (Some("web"), Some("nginx"), true));
}

#[test]
fn the_path_is_the_one_that_says_most() {
    let path = |text: &str| Placement::parse(text).path;
    assert_eq!(path("4:memory:/a/b\n0::/\n"), "/a/b");
    assert_eq!(path("4:memory:/a/b/c\n0::/system.slice/x.service\n"), "/system.slice/x.service");
    assert_eq!(path("4:memory:/a/b/c\n1:name=systemd:/x\n0::/\n"), "/x");
    assert_eq!(path(&format!("4:memory:/docker/{ID}\n0::/system.slice/docker.service\n")), format!("/docker/{ID}"));
    assert_eq!(path("0::/"), "/");
    // A colon may be in a name.
    assert_eq!(path("0::/a:b/c"), "/a:b/c");
}
