//! Channels of a value as they lie on a card.

/// Channels of a value: of each part of a concatenation how many there are, and how many with those that fill a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channels(Vec<(usize, usize)>);

impl Channels {
    /// `n` channels and as many more as fill vectors of `vector`.
    pub(crate) fn padded_to(n: usize, vector: usize) -> Self {
        Channels(vec![(n, n.next_multiple_of(vector))])
    }

    /// `n` channels, side by side.
    pub(crate) fn packed(n: usize) -> Self {
        Channels(vec![(n, n)])
    }

    /// Those of values that lie one after the other.
    pub(crate) fn concat<'c>(parts: impl IntoIterator<Item = &'c Channels>) -> Self {
        Channels(
            parts
                .into_iter()
                .flat_map(|part| part.0.iter().copied())
                .collect(),
        )
    }

    /// Without those that fill vectors.
    pub(crate) fn n(&self) -> usize {
        self.0.iter().map(|part| part.0).sum()
    }

    /// With those that fill vectors.
    pub(crate) fn padded(&self) -> usize {
        self.0.iter().map(|part| part.1).sum()
    }

    /// Place of each channel.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let starts = self.0.iter().scan(0, |start, &(n, padded)| {
            let from = *start;
            *start += padded;
            Some(from..from + n)
        });
        starts.flatten()
    }
}
