//! From pages and page microseconds to bytes.

use profiler_common::MemoryUse;

use super::usage::Known;

/// Memory of a job or a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFigures {
    /// Anonymous and shared memory at its highest.
    pub peak_bytes: u64,
    /// Anonymous and shared memory, mean over time; `None` for no time.
    pub mean_bytes: Option<u64>,
    /// File-mapped memory at its highest.
    pub file_peak_bytes: u64,
}

impl MemoryFigures {
    /// What was held during `wall_ns`; `None` where it is not known.
    #[must_use]
    pub fn of(memory: &MemoryUse, wall_ns: u64, known: &Known) -> Option<Self> {
        let page = known.memory_page_bytes?;
        let bytes = |pages: u64| pages.saturating_mul(page);
        let mean_pages = u128::from(memory.page_us) * u128::from(page) * 1000;
        Some(Self {
            peak_bytes: bytes(memory.peak_pages),
            mean_bytes: mean_pages
                .checked_div(u128::from(wall_ns))
                .and_then(|bytes| u64::try_from(bytes).ok()),
            file_peak_bytes: bytes(memory.file_peak_pages),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_the_area_over_the_time() {
        let memory = MemoryUse { peak_pages: 10, file_peak_pages: 3, page_us: 5_000_000 };
        let known = Known { memory_page_bytes: Some(4096), ..Known::default() };
        let figures = MemoryFigures::of(&memory, 1_000_000_000, &known).unwrap();
        assert_eq!(figures.mean_bytes, Some(5 * 4096));
        assert_eq!((figures.peak_bytes, figures.file_peak_bytes), (40_960, 12_288));
        assert_eq!(MemoryFigures::of(&memory, 0, &known).unwrap().mean_bytes, None);
        assert_eq!(MemoryFigures::of(&memory, 1, &Known::default()), None);
    }
}
