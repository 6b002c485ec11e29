//! When two identities name the same trace.

use super::format::Identity;

/// An identity and the format that it was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name of the format.
    pub format: &'static str,
    /// What it says.
    pub identity: Identity,
}

impl Identity {
    /// Whether more than the low 64 bits of the trace id are known. A high half of zeroes is padding.
    pub fn wide(&self) -> bool {
        !self.short && self.trace_id >> 64 != 0
    }

    /// Whether both name the same trace. Where one has only 64 bits, these decide.
    pub fn same_trace(&self, other: &Self) -> bool {
        let difference = self.trace_id ^ other.trace_id;
        if self.wide() && other.wide() { difference == 0 } else { difference << 64 == 0 }
    }

    /// Whether both name the same span of the same trace. Where one has none nobody can say.
    pub fn same_span(&self, other: &Self) -> bool {
        self.same_trace(other) && self.span_id.is_some() && self.span_id == other.span_id
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::identity;

    #[test]
    fn the_narrower_width_decides() {
        let wide = identity(7 << 64 | 5);
        assert!(wide.same_trace(&wide));
        assert!(!wide.same_trace(&identity(8 << 64 | 5)));
        for narrow in [identity(5), super::Identity { short: true, ..wide }] {
            assert!(!narrow.wide());
            assert!(wide.same_trace(&narrow) && narrow.same_trace(&wide));
            assert!(!narrow.same_trace(&identity(7 << 64 | 6)));
        }
    }
}
