//! The names of simulated files and directories, and which of them are on stable storage.

use std::collections::BTreeMap;

/// A file or a directory, whatever its name.
pub(crate) type NodeId = u64;

/// The directory that has no name.
pub(crate) const ROOT: NodeId = 0;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(NodeId),
    Dir(NodeId),
}

/// Directories by id, each with its names.
pub(crate) type Tree = BTreeMap<NodeId, BTreeMap<String, Node>>;

/// One atomic change of names.
#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Link { dir: NodeId, name: String, node: Node },
    Unlink { dir: NodeId, name: String },
    Rename { from: (NodeId, String), to: (NodeId, String), node: Node },
}

impl NameChange {
    pub(crate) fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Link { dir, name, node } => link(tree, *dir, name, *node),
            Self::Unlink { dir, name } => unlink(tree, *dir, name),
            Self::Rename { from, to, node } => {
                unlink(tree, from.0, &from.1);
                link(tree, to.0, &to.1, *node);
            }
        }
    }

    /// Whether a sync of the directory `dir` waits for it.
    pub(crate) fn concerns(&self, dir: NodeId) -> bool {
        match self {
            Self::Link { dir: d, .. } | Self::Unlink { dir: d, .. } => *d == dir,
            Self::Rename { from, to, .. } => from.0 == dir || to.0 == dir,
        }
    }
}

fn link(tree: &mut Tree, dir: NodeId, name: &str, node: Node) {
    tree.entry(dir).or_default().insert(name.to_owned(), node);
}

fn unlink(tree: &mut Tree, dir: NodeId, name: &str) {
    tree.entry(dir).or_default().remove(name);
}

/// The names as they are seen and as they are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) live: Tree,
    stable: Tree,
    /// Changes since `stable`, in order, and whether each one is on stable storage. A later one
    /// can be there before an earlier one: they may belong to different directories.
    journal: Vec<(NameChange, bool)>,
}

impl Names {
    pub(crate) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.journal.push((change, false));
    }

    /// Makes the changes of directory `dir` stable.
    pub(crate) fn sync(&mut self, dir: NodeId) {
        for (change, stable) in &mut self.journal {
            *stable |= change.concerns(dir);
        }
        let settled = self.journal.iter().take_while(|(_, stable)| *stable).count();
        for (change, _) in self.journal.drain(..settled) {
            change.apply(&mut self.stable);
        }
    }

    /// The names after a power loss that keeps an unwaited-for change where `keeps(newest)` says
    /// so.
    pub(crate) fn survivors(&self, mut keeps: impl FnMut(bool) -> bool) -> Tree {
        let mut tree = self.stable.clone();
        for (n, (change, stable)) in self.journal.iter().enumerate() {
            if *stable || keeps(n + 1 == self.journal.len()) {
                change.apply(&mut tree);
            }
        }
        tree
    }

    /// Names that are exactly `tree`, all of it stable.
    pub(crate) fn stable(tree: Tree) -> Self {
        Self { live: tree.clone(), stable: tree, journal: Vec::new() }
    }

    /// The node at `path` as it is seen now.
    pub(crate) fn find(&self, path: &[&str]) -> Option<Node> {
        path.iter().try_fold(Node::Dir(ROOT), |at, name| match at {
            Node::Dir(dir) => self.live.get(&dir)?.get(*name).copied(),
            Node::File(_) => None,
        })
    }
}
