//! Names of pods and their containers, from the log files that the kubelet keeps on its node, else from what the pod
//! knows by the downward API.
//!
//! ```text
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log
//! /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log -> /var/log/pods/…
//! ```

use std::fs;
use std::path::Path;

use super::containers::entries;
use super::environ::Environ;
use super::placement::is_uid;

/// A pod, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pod {
    /// `k8s.pod.name`.
    pub(super) name: Option<String>,
    /// `k8s.namespace.name`.
    pub(super) namespace: Option<String>,
    /// `k8s.pod.uid`.
    pub(super) uid: Option<String>,
}

/// Name of the container with this id, and the pod that it is in.
pub(super) fn look_up(root: &Path, container_id: Option<&str>, pod_uid: Option<&str>) -> (Option<String>, Pod) {
    let mut pod = Pod { uid: pod_uid.map(str::to_owned), ..Pod::default() };
    let logs = root.join("var/log/containers");
    let mut container = None;
    if let Some(id) = container_id {
        let suffix = format!("-{id}.log");
        let is_containers = |log: &String| log.strip_suffix(&suffix).and_then(parts).is_some();
        if let Some(log) = entries(&logs).find(is_containers)
            && let Some([name, namespace, container_name]) = log.strip_suffix(&suffix).and_then(parts)
        {
            pod.name = Some(name.to_owned());
            pod.namespace = Some(namespace.to_owned());
            container = Some(container_name.to_owned());
            // The link names the directory of the pod, and with it the uid: the cgroup may not show it.
            let target = fs::read_link(logs.join(&log)).unwrap_or_default();
            let directory = target.parent().and_then(Path::parent).and_then(Path::file_name);
            if let Some([_, _, uid]) = directory.and_then(|name| name.to_str()).and_then(parts)
                && is_uid(uid)
            {
                pod.uid.get_or_insert_with(|| uid.to_owned());
            }
        }
    }
    if let (None, Some(uid)) = (&pod.name, pod_uid) {
        let pods = root.join("var/log/pods");
        let is_pods = |directory: &String| parts(directory).is_some_and(|[_, _, of]| of == uid);
        if let Some(directory) = entries(&pods).find(is_pods)
            && let Some([namespace, name, _]) = parts(&directory)
        {
            pod.name = Some(name.to_owned());
            pod.namespace = Some(namespace.to_owned());
            // Of several, nothing here tells which.
            let mut containers = entries(&pods.join(&directory));
            container = containers.next().filter(|_| containers.next().is_none());
        }
    }
    (container, pod)
}

/// The three parts of a name; no part has an underscore in it.
fn parts(name: &str) -> Option<[&str; 3]> {
    let mut parts = name.split('_').filter(|part| !part.is_empty());
    let three = [parts.next()?, parts.next()?, parts.next()?];
    (parts.next().is_none() && name.matches('_').count() == 2).then_some(three)
}

impl Pod {
    /// Fills in what the environment tells, for a process that certainly is in a pod. A container's host name is that of
    /// its pod, unless it has the node's.
    pub(super) fn complete(&mut self, environ: &Environ, node: &str) {
        if self.uid.is_none() {
            return;
        }
        let name = |name: &&String| is_name(name);
        self.namespace = self.namespace.take().or_else(|| environ.pod_namespace.as_ref().filter(name).cloned());
        let host_name = environ.host_name.as_ref().filter(|host| *host != node);
        let told = environ.pod_name.as_ref().filter(name).or(host_name.filter(name));
        self.name = self.name.take().or_else(|| told.cloned());
    }

    /// Name of what the pod is a replica of: without what Deployments, DaemonSets, Jobs and StatefulSets append.
    pub(super) fn workload(&self) -> Option<&str> {
        let name = self.name.as_deref()?;
        let Some((rest, last)) = name.rsplit_once('-') else { return Some(name) };
        if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(rest);
        }
        if last.len() != 5 || !last.bytes().all(is_generated) {
            return Some(name);
        }
        match rest.rsplit_once('-') {
            // The hash of a ReplicaSet's template, or the number of a CronJob's run.
            Some((workload, hash)) if (6..=10).contains(&hash.len()) && hash.bytes().all(is_generated) => {
                Some(workload)
            }
            Some((workload, run)) if run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_digit()) => Some(workload),
            _ => Some(rest),
        }
    }
}

/// What Kubernetes makes names up of: no vowels, and nothing that looks like one.
fn is_generated(byte: u8) -> bool {
    b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)
}

/// What names of Kubernetes consist of.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const ID: &str = "3f4d9c0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2a190";
    const UID: &str = "2f1c9a3e-7b60-4d0e-9f3a-5c8e6b1d2a47";

    fn node(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("auditor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("var/log/containers")).expect("temporary directory");
        root
    }

    fn pod(name: &str, namespace: &str, uid: &str) -> Pod {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Pod { name: text(name), namespace: text(namespace), uid: text(uid) }
    }

    #[test]
    fn the_files_of_the_kubelet_name_pods_and_containers() {
        let root = node("kubelet");
        let logs = root.join(format!("var/log/pods/store_cart-7d9f8b6c5d-x2x8z_{UID}"));
        let link = |pod: &str, container: &str, id: &str, to: &str| {
            let name = format!("var/log/containers/{pod}_store_{container}-{id}.log");
            std::os::unix::fs::symlink(to, root.join(name)).expect("link");
        };
        let found = |id, uid| look_up(&root, id, uid);
        assert_eq!(found(Some(ID), None), (None, Pod::default()));
        assert_eq!(found(Some(ID), Some(UID)), (None, pod("", "", UID)));
        fs::create_dir_all(logs.join("app")).expect("temporary directory");
        let named = pod("cart-7d9f8b6c5d-x2x8z", "store", UID);
        assert_eq!(found(Some(ID), Some(UID)), (Some("app".to_owned()), named.clone()), "the only container");
        fs::create_dir_all(logs.join("proxy")).expect("temporary directory");
        assert_eq!(found(Some(ID), Some(UID)), (None, named.clone()), "one of two");
        let target = format!("/var/log/pods/store_cart-7d9f8b6c5d-x2x8z_{UID}/app/0.log");
        link("other", "app", &ID.replace('3', "4"), &target);
        link("cart-7d9f8b6c5d-x2x8z", "app", ID, &target);
        assert_eq!(found(Some(ID), Some(UID)), (Some("app".to_owned()), named.clone()));
        assert_eq!(found(Some(ID), None), (Some("app".to_owned()), named), "the link names the uid");
        fs::remove_dir_all(root).expect("removing");
    }

    #[test]
    fn strange_files_name_nothing() {
        let root = node("strange");
        for name in ["a_b", "__", "a_b_c_d"] {
            fs::write(root.join(format!("var/log/containers/{name}-{ID}.log")), "").expect("temporary file");
            assert_eq!(look_up(&root, Some(ID), None), (None, Pod::default()), "{name}");
        }
        // No link.
        fs::write(root.join(format!("var/log/containers/p_n_c-{ID}.log")), "").expect("temporary file");
        assert_eq!(look_up(&root, Some(ID), None).1, pod("p", "n", ""));
        fs::remove_dir_all(root).expect("removing");
    }

    #[test]
    fn the_environment_completes_what_files_do_not_tell() {
        let text = |text: &str| Some(text.to_owned());
        let environ = Environ { pod_namespace: text("store"), host_name: text("cart-0"), ..Environ::default() };
        let complete = |mut pod: Pod, environ: &Environ| {
            pod.complete(environ, "node-a");
            pod
        };
        assert_eq!(complete(pod("", "", UID), &environ), pod("cart-0", "store", UID));
        assert_eq!(complete(pod("a", "b", UID), &environ), pod("a", "b", UID));
        assert_eq!(complete(Pod::default(), &environ), Pod::default(), "in no pod");
        let told = Environ { pod_name: text("told"), ..environ.clone() };
        assert_eq!(complete(pod("", "", UID), &told).name.as_deref(), Some("told"));
        // On the node's network it has the node's name.
        let on_node = Environ { host_name: text("node-a"), pod_name: text("No name!"), ..environ };
        assert_eq!(complete(pod("", "", UID), &on_node).name, None);
    }

    #[test]
    fn replicas_are_of_one_workload() {
        for (name, workload) in [
            ("cart-7d9f8b6c5d-x2x8z", "cart"),
            ("shop-cart-68b79f4c4-2h8vq", "shop-cart"),
            ("fluentd-x2x8z", "fluentd"),
            ("db-0", "db"),
            ("db-12", "db"),
            ("report-28374650-x2x8z", "report"),
            ("cart", "cart"),
            ("shop-cart", "shop-cart"),
            ("kube-proxy", "kube-proxy"),
            ("etcd-node-a", "etcd-node-a"),
            ("-", "-"),
        ] {
            assert_eq!(pod(name, "", "").workload(), Some(workload), "{name}");
        }
        assert_eq!(Pod::default().workload(), None);
    }
}
