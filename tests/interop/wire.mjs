// A strict reader of Bitswap 1.2.0 as its specification words it, and a tap that holds it to every
// stream that a peer opens. Helia's own decoder skips fields it does not know; this one refuses them,
// so that "it works with Helia" also means "it is no dialect". Nothing here changes what is on the wire.
// Spec: https://specs.ipfs.tech/bitswap-protocol/

export const BITSWAP = '/ipfs/bitswap/1.2.0'
const MESSAGE_MAX = 4 * 1024 * 1024
const BLOCK_MAX = 2 * 1024 * 1024
const CODECS = new Set([0x55, 0x70, 0x71, 0x0129])
const VARINT = 0
const BYTES = 2

function refuse (why) {
  throw new Error(`not Bitswap 1.2.0: ${why}`)
}

/** One unsigned varint of `bytes` at `at`: `[value, next]`, or undefined if it is not all there. */
function varint (bytes, at) {
  let value = 0n
  for (let shift = 0n; at < bytes.length; shift += 7n) {
    if (shift > 63n) refuse('a varint of more than ten bytes')
    const byte = bytes[at++]
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return [value, at]
  }
}

/** The fields of one protobuf message as `[number, value]`; `known` maps numbers to wire types. */
function * fields (bytes, known, where) {
  let at = 0
  while (at < bytes.length) {
    const [tag, afterTag] = varint(bytes, at) ?? refuse(`${where} ends within a tag`)
    const number = Number(tag >> 3n)
    if (known[number] == null) refuse(`${where} has a field ${number}`)
    if (Number(tag & 7n) !== known[number]) refuse(`${where} field ${number} has wire type ${tag & 7n}`)
    const [value, next] = varint(bytes, afterTag) ?? refuse(`${where} ends within field ${number}`)
    if (known[number] === VARINT) {
      yield [number, value]
      at = next
    } else {
      at = next + Number(value)
      if (at > bytes.length) refuse(`${where} field ${number} is cut short`)
      yield [number, bytes.subarray(next, at)]
    }
  }
}

/** A CID's or prefix's version, codec, hash function and digest length; the digest must be there iff `digest`. */
function cidParts (bytes, where, digest) {
  // A CIDv0 is a bare sha2-256 multihash; in a prefix it is spelled out like the others.
  if (digest && bytes.length === 34 && bytes[0] === 0x12 && bytes[1] === 0x20) return
  const parts = []
  let at = 0
  for (let i = 0; i < 4; i++) {
    const [value, next] = varint(bytes, at) ?? refuse(`${where} is cut short`)
    parts.push(Number(value))
    at = next
  }
  const [version, codec, hash, length] = parts
  if (version !== 1 && !(version === 0 && codec === 0x70 && !digest)) refuse(`${where} of version ${version}`)
  if (!CODECS.has(codec)) refuse(`${where} with codec ${codec}`)
  if (hash !== 0x12 || length !== 32) refuse(`${where} with hash ${hash} of ${length} bytes`)
  if (bytes.length !== at + (digest ? length : 0)) refuse(`${where} of ${bytes.length} bytes`)
}

/** Reads one message and adds what it says to `seen`. */
function readMessage (bytes, seen) {
  seen.messages++
  let said = false
  for (const [number, value] of fields(bytes, { 1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT }, 'message')) {
    said = true
    if (number === 1) {
      for (const [field, entry] of fields(value, { 1: BYTES, 2: VARINT }, 'wantlist')) {
        if (field === 2) {
          if (entry > 1n) refuse('full is no bool')
          continue
        }
        const of = { 1: undefined, 2: 0n, 3: 0n, 4: 0n, 5: 0n }
        for (const [key, got] of fields(entry, { 1: BYTES, 2: VARINT, 3: VARINT, 4: VARINT, 5: VARINT }, 'entry')) of[key] = got
        if (of[1] == null) refuse('an entry names no block')
        cidParts(of[1], 'wanted CID', true)
        if (of[3] > 1n || of[4] > 1n || of[5] > 1n) refuse('cancel, wantType or sendDontHave out of range')
        if (of[3] === 1n) seen.cancels++
        else if (of[4] === 1n) seen.wantHaves++
        else {
          seen.wantBlocks++
          const cid = Buffer.from(of[1]).toString('base64')
          if (seen.asked.has(cid)) seen.askedAgain++
          seen.asked.add(cid)
        }
      }
    } else if (number === 2) {
      refuse('field 2 (blocks) belongs to version 1.0.0')
    } else if (number === 3) {
      const of = {}
      for (const [key, got] of fields(value, { 1: BYTES, 2: BYTES }, 'payload block')) of[key] = got
      if (of[1] == null) refuse('a block without a prefix')
      cidParts(of[1], 'block prefix', false)
      const length = of[2]?.length ?? 0
      if (length > BLOCK_MAX) refuse(`a block of ${length} bytes`)
      seen.blocks++
      seen.blockBytes += length
    } else if (number === 4) {
      const of = { 2: 0n }
      for (const [key, got] of fields(value, { 1: BYTES, 2: VARINT }, 'presence')) of[key] = got
      if (of[1] == null) refuse('a presence names no block')
      cidParts(of[1], 'CID of a presence', true)
      if (of[2] > 1n) refuse(`a presence of type ${of[2]}`)
      if (of[2] === 0n) seen.haves++
      else seen.dontHaves++
    }
  }
  if (!said) seen.empty++
}

/** Cuts a stream's bytes, as they come, into length-prefixed messages. */
class Frames {
  #held = []
  #length = 0

  constructor (seen) {
    this.seen = seen
  }

  push (chunk) {
    this.#held.push(chunk)
    this.#length += chunk.length
    for (;;) {
      if (this.#length === 0) return
      if (this.#held[0].length < Math.min(this.#length, 10)) this.#held = [Buffer.concat(this.#held)]
      const head = varint(this.#held[0].subarray(0, 10), 0)
      if (head == null) return
      const length = Number(head[0])
      if (length > MESSAGE_MAX) refuse(`a message of ${length} bytes`)
      const whole = head[1] + length
      if (this.#length < whole) return
      const bytes = Buffer.concat(this.#held)
      this.#held = whole < bytes.length ? [bytes.subarray(whole)] : []
      this.#length -= whole
      this.seen.largest = Math.max(this.seen.largest, length)
      readMessage(bytes.subarray(head[1], whole), this.seen)
    }
  }

  end () {
    if (this.#length !== 0) refuse(`a stream ends ${this.#length} bytes into a message`)
  }
}

/**
 * Adds a tap to a Helia node that has libp2p but not Bitswap yet. Returns what it has seen so far:
 * counts over all incoming Bitswap streams, and `faults`, each a departure from the specification.
 */
export function tapBitswap (helia) {
  const seen = { streams: 0, messages: 0, empty: 0, wantBlocks: 0, askedAgain: 0, wantHaves: 0, cancels: 0, haves: 0, dontHaves: 0, blocks: 0, blockBytes: 0, largest: 0, asked: new Set(), faults: [] }
  const tap = (stream) => {
    seen.streams++
    const frames = new Frames(seen)
    let broken = false
    const guard = (step) => {
      if (broken) return
      try {
        step()
      } catch (fault) {
        broken = true
        seen.faults.push(fault.message)
      }
    }
    stream.addEventListener('message', (event) => guard(() => frames.push(event.data.subarray())))
    stream.addEventListener('remoteCloseWrite', () => guard(() => frames.end()))
  }
  helia.addMixin({
    name: 'bitswap-tap',
    start ({ libp2p }) {
      const handle = libp2p.handle.bind(libp2p)
      libp2p.handle = (protocols, handler, options) =>
        handle(protocols, [protocols].flat().includes(BITSWAP)
          ? (stream, connection) => { tap(stream); return handler(stream, connection) }
          : handler, options)
    }
  })
  return seen
}
