//! `import-sig`: its request and its answer as text.

use std::path::Path;

use super::{
    args::ImportSigArgs,
    output::{Screen, count, print_text},
    verify,
};
use crate::{
    dag::name::escape,
    rpc::{Code, Failure, ImportSig, ImportedSignature, Request, SignatureLine},
};

/// The request; paths are made absolute here, since a daemon has another working directory.
pub(super) fn request(args: ImportSigArgs) -> Result<Request, Failure> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|why| {
            Failure::new(Code::Usage, format!("cannot use {} as a path: {why}", path.display()))
        })
    };
    Ok(Request::ImportSig(ImportSig {
        file: absolute(&args.file)?,
        target: verify::target(&args.target)?,
        public_key: args.public_key.as_deref().map(absolute).transpose()?,
    }))
}

pub(super) fn print(answer: &ImportedSignature, screen: &Screen) {
    let mut text = format!(
        "  signature valid for {}, every byte read\n  key  {}\n  root {}\n",
        count(answer.files, "file"),
        answer.key,
        answer.root
    );
    for path in &answer.left_out {
        text += &format!("  left out by its signer: {}\n", escape(path));
    }
    print_text(&text);
    screen.hint("it says nothing of who published it here: whose key that is, you must know");
}

/// What others signed over the same files, a line each.
pub(super) fn lines(signatures: &[SignatureLine]) -> String {
    let line = |signature: &SignatureLine| {
        let files = count(signature.files, "file");
        let how = match signature.holds {
            Some(true) => format!("verified for {files}"),
            Some(false) => "DOES NOT HOLD for the files that are here".to_owned(),
            None => format!("signature valid, over {files}; modelswarm verify compares them"),
        };
        format!("  also signed (OMS) by key {}: {how}\n", signature.key)
    };
    signatures.iter().map(line).collect()
}
