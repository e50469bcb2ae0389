//! What a file's first bytes say it is, whatever its name.

use super::pieces::le;
use super::{npy, tar};

/// A format that first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Magic {
    /// Runs by itself.
    Executable(&'static str),
    /// Holds files whose names cannot be had from a few ranges.
    Archive(&'static str),
    Zip,
    Tar,
    Gzip,
    Zlib,
    /// Compressed in a way that is not unpacked here.
    Packed(&'static str),
    Hdf5,
    Npy,
    Gguf,
    RData,
    JavaObjects,
}

/// Formats that begin with these bytes.
const PREFIXES: [(&[u8], Magic); 36] = [
    (b"\x7fELF", Magic::Executable("an ELF program or library")),
    (b"\xfe\xed\xfa\xce", Magic::Executable("a Mach-O program or library")),
    (b"\xfe\xed\xfa\xcf", Magic::Executable("a Mach-O program or library")),
    (b"\xce\xfa\xed\xfe", Magic::Executable("a Mach-O program or library")),
    (b"\xcf\xfa\xed\xfe", Magic::Executable("a Mach-O program or library")),
    (b"\xca\xfe\xba\xbe", Magic::Executable("a Java class or Mach-O library")),
    (b"\xca\xfe\xba\xbf", Magic::Executable("a Mach-O library")),
    (b"\0asm", Magic::Executable("a WebAssembly module")),
    (b"dex\n", Magic::Executable("an Android program")),
    (b"\x1bLua", Magic::Executable("compiled Lua")),
    (b"\x1bLJ", Magic::Executable("compiled Lua")),
    (b"BC\xc0\xde", Magic::Executable("LLVM bitcode")),
    (b"L\0\0\0\x01\x14\x02\0", Magic::Executable("a Windows shortcut")),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Magic::Executable("an installer or document that may hold macros"),
    ),
    (b"7z\xbc\xaf\x27\x1c", Magic::Archive("7z")),
    (b"Rar!\x1a\x07", Magic::Archive("RAR")),
    (b"MSCF\0\0\0\0", Magic::Archive("cabinet")),
    (b"!<arch>\n", Magic::Archive("ar")),
    (b"xar!", Magic::Archive("xar")),
    (b"hsqs", Magic::Archive("SquashFS")),
    (b"070701", Magic::Archive("cpio")),
    (b"070707", Magic::Archive("cpio")),
    (b"\xed\xab\xee\xdb", Magic::Archive("RPM")),
    (b"PK\x03\x04", Magic::Zip),
    (b"PK\x05\x06", Magic::Zip),
    (b"PK\x07\x08", Magic::Zip),
    (b"\x1f\x8b", Magic::Gzip),
    (b"\xfd7zXZ\0", Magic::Packed("xz")),
    (b"\x28\xb5\x2f\xfd", Magic::Packed("Zstandard")),
    (b"\x04\x22\x4d\x18", Magic::Packed("LZ4")),
    (b"\x1f\x9d", Magic::Packed("compress")),
    (npy::MAGIC, Magic::Npy),
    (b"GGUF", Magic::Gguf),
    (b"RDX2\n", Magic::RData),
    (b"RDX3\n", Magic::RData),
    (b"\xac\xed\0\x05", Magic::JavaObjects),
];

/// Where HDF5 looks for its signature: at 0, 512 and every doubling.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// What `head` begins as.
pub(super) fn magic(head: &[u8]) -> Option<Magic> {
    if let Some((_, magic)) = PREFIXES.iter().find(|(prefix, _)| head.starts_with(prefix)) {
        return Some(*magic);
    }
    if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return Some(Magic::Packed("bzip2"));
    }
    // LZMA alone, with the properties that every tool writes.
    if head.starts_with(b"\x5d\0\0")
        && head
            .get(5..13)
            .is_some_and(|size| le(size, 0, 8) == u64::MAX || le(size, 0, 8) < 1 << 40)
    {
        return Some(Magic::Packed("LZMA"));
    }
    if head.starts_with(b"#!") && matches!(head[2..].trim_ascii_start().first(), Some(b'/')) {
        return Some(Magic::Executable("a script"));
    }
    if head.starts_with(b"MZ") && head.len() >= 64 {
        let at = usize::try_from(le(head, 0x3c, 4)).unwrap_or(usize::MAX);
        if head.get(at..).is_some_and(|at| at.starts_with(b"PE\0\0")) {
            return Some(Magic::Executable("a Windows program or library"));
        }
    }
    if is_bytecode(head) {
        return Some(Magic::Executable("Python bytecode"));
    }
    if matches!(head, [b'X' | b'A' | b'B', b'\n', 0, 0, 0, 2 | 3, ..]) {
        return Some(Magic::RData);
    }
    if tar::is_header(head) {
        return Some(Magic::Tar);
    }
    let mut at = 0;
    while let Some(rest) = head.get(at..) {
        if rest.starts_with(HDF5) {
            return Some(Magic::Hdf5);
        }
        at = (at * 2).max(512);
    }
    let zlib = matches!(head, [0x78, flags, ..] if (0x7800 | u16::from(*flags)).is_multiple_of(31));
    zlib.then_some(Magic::Zlib)
}

/// CPython 3.0 to about 3.20: a version, a line end, then flags (or a time, before 3.7).
fn is_bytecode(head: &[u8]) -> bool {
    head.len() >= 16
        && head[2..4] == *b"\r\n"
        && (3000..4200).contains(&le(head, 0, 2))
        && le(head, 4, 4) <= 3
}
