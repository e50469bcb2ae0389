//! `cat`: its request. Its bytes go out as they come; there is no answer as text.

use super::args::CatArgs;
use crate::rpc::{Cat, Request};

pub(super) fn request(args: CatArgs) -> Request {
    Request::Cat(Cat {
        reference: args.reference,
        offset: args.offset,
        length: args.length,
        peers: args.peer,
        publisher: args.publisher,
        timeout: args.timeout,
    })
}
