//! Which neighbors touch: by face, edge or corner.

/// Which voxels are neighbors, by what they share at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connectivity {
    /// A face: 6 neighbors.
    Faces6,
    /// A face or an edge: 18 neighbors.
    Edges18,
    /// A face, an edge or a corner: 26 neighbors.
    Corners26,
}

impl Connectivity {
    /// All, for tables and tests.
    pub const ALL: [Connectivity; 3] = [
        Connectivity::Faces6,
        Connectivity::Edges18,
        Connectivity::Corners26,
    ];

    /// From the number of neighbors: 6, 18 or 26.
    pub fn from_number(neighbours: u32) -> Option<Connectivity> {
        Connectivity::ALL
            .into_iter()
            .find(|connectivity| connectivity.number() == neighbours)
    }

    /// Number of neighbors of a voxel.
    pub fn number(self) -> u32 {
        match self {
            Connectivity::Faces6 => 6,
            Connectivity::Edges18 => 18,
            Connectivity::Corners26 => 26,
        }
    }
}
