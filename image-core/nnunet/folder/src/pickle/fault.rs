//! What can be wrong with a pickle, by opcode and offset.

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleFault {
    /// It ends before its STOP.
    #[error("it ends at byte {at} before its end mark")]
    Truncated {
        /// Offset of the opcode that wanted more.
        at: usize,
    },
    /// An opcode that torch.save and nnU-Net never write.
    #[error("opcode 0x{opcode:02x} at byte {at} is not allowed")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Its offset.
        at: usize,
    },
    /// A protocol that does not exist or is too old.
    #[error("protocol {protocol} is not supported, only 2 to 5 are")]
    Protocol {
        /// As claimed.
        protocol: u8,
    },
    /// An opcode that does not fit what is on the stack.
    #[error("opcode 0x{opcode:02x} at byte {at} needs {expected}")]
    Operand {
        /// The opcode.
        opcode: u8,
        /// Its offset.
        at: usize,
        /// What it needs.
        expected: &'static str,
    },
    /// A known function is called in a way it never is.
    #[error("{function} at byte {at} is called with malformed arguments")]
    Arguments {
        /// Which function.
        function: &'static str,
        /// Offset of the call.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("text at byte {at} is not UTF-8")]
    Text {
        /// Offset of the opcode.
        at: usize,
    },
    /// A function that no checkpoint calls. Nothing was executed.
    #[error("it would call {module}.{name}, which is forbidden; nothing was executed")]
    ForbiddenGlobal {
        /// Python module.
        module: String,
        /// Name within it.
        name: String,
    },
    /// More values, or a deeper stack, than any checkpoint has.
    #[error("it has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}
