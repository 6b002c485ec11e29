//! Names of containers, from files that the kubelet and the runtimes keep on the node. No API is asked.

use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use lru::LruCache;
use serde::Deserialize;

use super::kubernetes::{self, Pod};
use super::placement::Placement;
use crate::record::BootNs;

/// Containers whose names are remembered.
const KNOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// The kubelet writes its files a moment after the container started: what was not found is looked for again.
const RETRY: BootNs = 1_000_000_000;
/// Longest file that is read: `config.v2.json` of Docker, `containers.json` of Podman.
const FILE_CAP: u64 = 8 << 20;

/// What people call a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Name of the container.
    pub(super) container: Option<String>,
    /// Name of what its replicas have in common, where that is not the container's own.
    pub(super) workload: Option<String>,
    /// The pod it belongs to.
    pub(super) pod: Pod,
}

/// Looks names up, and remembers them.
#[derive(Debug)]
pub(super) struct Containers {
    root: PathBuf,
    known: LruCache<String, (Names, BootNs)>,
}

impl Containers {
    /// `root` is where the file system of the node is.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, known: LruCache::sparse(KNOWN) }
    }

    /// Of the container, or at least the pod, that a process is in.
    pub(super) fn names(&mut self, placement: &Placement, now: BootNs) -> Names {
        let Some(key) = placement.container_id.as_ref().or(placement.pod_uid.as_ref()) else {
            return Names { container: placement.lxc.clone(), ..Names::default() };
        };
        if let Some((names, read)) = self.known.get(key)
            && (names.container.is_some() || now.saturating_sub(*read) < RETRY)
        {
            return names.clone();
        }
        let names = self.look_up(placement);
        self.known.put(key.clone(), (names.clone(), now));
        names
    }

    fn look_up(&self, placement: &Placement) -> Names {
        let (id, uid) = (placement.container_id.as_deref(), placement.pod_uid.as_deref());
        let (container, pod) = kubernetes::look_up(&self.root, id, uid);
        if container.is_some() || pod.name.is_some() || uid.is_some() {
            return Names { container, workload: None, pod };
        }
        let Some(id) = id else { return Names::default() };
        docker(&self.root, id).or_else(|| podman(&self.root, id)).unwrap_or_default()
    }
}

/// Docker's `config.v2.json`; only the owner of the node may read it.
fn docker(root: &Path, id: &str) -> Option<Names> {
    #[derive(Deserialize)]
    struct Container {
        #[serde(rename = "Name")]
        name: String,
        #[serde(rename = "Config", default)]
        config: Config,
    }
    #[derive(Default, Deserialize)]
    struct Config {
        #[serde(rename = "Labels", default)]
        labels: Option<Labels>,
    }
    #[derive(Default, Deserialize)]
    struct Labels {
        #[serde(rename = "com.docker.compose.project")]
        project: Option<String>,
        #[serde(rename = "com.docker.compose.service")]
        service: Option<String>,
        #[serde(rename = "com.docker.swarm.service.name")]
        swarm: Option<String>,
    }
    let file = read(&root.join("var/lib/docker/containers").join(id).join("config.v2.json"))?;
    let Container { name, config } = serde_json::from_slice(&file).ok()?;
    let labels = config.labels.unwrap_or_default();
    let compose = labels.project.zip(labels.service).map(|(project, service)| format!("{project}-{service}"));
    let name = name.trim_start_matches('/').to_owned();
    let container = (!name.is_empty()).then_some(name);
    Some(Names { container, workload: labels.swarm.or(compose), pod: Pod::default() })
}

/// The list that Podman keeps, of root's containers.
fn podman(root: &Path, id: &str) -> Option<Names> {
    #[derive(Deserialize)]
    struct Container {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let file = read(&root.join("var/lib/containers/storage/overlay-containers/containers.json"))?;
    let containers: Vec<Container> = serde_json::from_slice(&file).ok()?;
    let names = containers.into_iter().find(|container| container.id == id)?.names;
    Some(Names { container: names.into_iter().next(), ..Names::default() })
}

/// A file as far as it may be long.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(FILE_CAP).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Names in a directory; of one that is not there, none.
pub(super) fn entries(directory: &Path) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4d9c0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2a190";

    fn placement(pod_uid: Option<&str>) -> Placement {
        Placement { container_id: Some(ID.to_owned()), pod_uid: pod_uid.map(str::to_owned), ..Placement::default() }
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("temporary directory");
        fs::write(path, text).expect("temporary file");
    }

    #[test]
    fn docker_and_podman_name_their_containers() {
        let root = std::env::temp_dir().join(format!("auditor-containers-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let names = || Containers::new(root.clone()).names(&placement(None), 0);
        assert_eq!(names(), Names::default());
        let text = |text: &str| Some(text.to_owned());
        write(
            &root,
            "var/lib/containers/storage/overlay-containers/containers.json",
            &format!(r#"[{{"id":"0","names":["x"]}},{{"id":"{ID}","names":["cart","also"],"layer":"l"}}]"#),
        );
        assert_eq!(names().container, text("cart"));
        let docker = format!("var/lib/docker/containers/{ID}/config.v2.json");
        write(&root, &docker, r#"{"Name":"/shop","Config":{"Env":["PASSWORD=hunter2"],"Labels":null}}"#);
        assert_eq!(names(), Names { container: text("shop"), ..Names::default() });
        let labels = r#"{"com.docker.compose.project":"store","com.docker.compose.service":"web","x":"y"}"#;
        write(&root, &docker, &format!(r#"{{"Name":"/store-web-2","Config":{{"Labels":{labels}}}}}"#));
        assert_eq!(names(), Names { container: text("store-web-2"), workload: text("store-web"), ..Names::default() });
        write(&root, &docker, "{");
        assert_eq!(names().container, text("cart"), "a damaged file is none");
        fs::remove_dir_all(root).expect("removing");
    }

    #[test]
    fn what_was_found_is_remembered_and_what_was_not_is_looked_for_again() {
        let root = std::env::temp_dir().join(format!("auditor-remembered-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let mut containers = Containers::new(root.clone());
        assert_eq!(containers.names(&placement(None), 0), Names::default());
        write(&root, &format!("var/lib/docker/containers/{ID}/config.v2.json"), r#"{"Name":"/shop"}"#);
        assert_eq!(containers.names(&placement(None), RETRY / 2), Names::default());
        let found = containers.names(&placement(None), RETRY);
        assert_eq!(found.container.as_deref(), Some("shop"));
        fs::remove_dir_all(root).expect("removing");
        assert_eq!(containers.names(&placement(None), 100 * RETRY), found);
    }
}
