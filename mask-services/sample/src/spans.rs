//! Runs sorted by label, so that each label costs only its own.

use std::collections::BTreeMap;

use nephrite_kernel::RunMask;

/// The runs of one label: what meshes and diameters are made from.
///
/// *Cost*: 8 bytes per run of the label and 12 per row that has some; nothing grows with the size of its box, so that
/// many labels of scattered voxels cost no more than one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    /// Rows with runs, sorted by z, then y.
    rows: Vec<Row>,
    /// First voxel and first voxel past the end, x index of the mask; row by row.
    spans: Vec<[u32; 2]>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    /// z, y.
    at: [u32; 2],
    /// Past its last span.
    end: u32,
}

impl Spans {
    /// Of every label that occurs, by id; one pass over the runs.
    pub(crate) fn of_labels(mask: &RunMask) -> BTreeMap<u16, Spans> {
        let ny = mask.shape()[1];
        let mut by_id: Vec<Spans> = Vec::new();
        for (row, runs) in mask.rows().enumerate() {
            let at = [(row / ny) as u32, (row % ny) as u32]; // as many rows as u32 counts
            for run in runs {
                let id = usize::from(run.label);
                if id >= by_id.len() {
                    by_id.resize_with(id + 1, Spans::default);
                }
                by_id[id].push(at, [run.start, run.end]);
            }
        }
        let with_ids = (0..=u16::MAX).zip(by_id);
        with_ids.filter(|(_, spans)| !spans.spans.is_empty()).collect()
    }

    fn push(&mut self, at: [u32; 2], span: [u32; 2]) {
        self.spans.push(span);
        let end = self.spans.len() as u32; // no more than the mask has, whose number fits
        match self.rows.last_mut() {
            Some(row) if row.at == at => row.end = end,
            _ => self.rows.push(Row { at, end }),
        }
    }

    /// z, y and spans of every row that has some, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = ([u32; 2], &[[u32; 2]])> {
        (0..self.rows.len()).map(|index| (self.rows[index].at, self.spans_of(index)))
    }

    /// Spans of a row, by indices of the mask; none where the label has none.
    pub(crate) fn row(&self, z: i64, y: i64) -> &[[u32; 2]] {
        let (Ok(z), Ok(y)) = (u32::try_from(z), u32::try_from(y)) else {
            return &[];
        };
        match self.rows.binary_search_by_key(&[z, y], |row| row.at) {
            Ok(index) => self.spans_of(index),
            Err(_) => &[],
        }
    }

    fn spans_of(&self, index: usize) -> &[[u32; 2]] {
        let start = index.checked_sub(1).map_or(0, |before| self.rows[before].end);
        &self.spans[start as usize..self.rows[index].end as usize]
    }
}
