// modelswarm and Helia, both ways: the same CIDs for the same bytes, and every byte over plain
// Bitswap 1.2.0. Each fetch goes into a home or blockstore that holds nothing of what it asks for.
// Started by tests/interop/run. INTEROP_VERBOSE=1 shows our log, DEBUG=libp2p:*,helia:* theirs.

import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { identify } from '@libp2p/identify'
import { ENCRYPTERS, startHelia } from './helia.mjs'
import { readTree, run, scratch, startDaemon, succeed, writeTree } from './modelswarm.mjs'
import { BITSWAP } from './wire.mjs'

const MIB = 1024 * 1024

/** `length` bytes that look random and are the same in every run. */
function bytes (length, seed) {
  const key = Buffer.alloc(32, seed)
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Weights as loaders take them: anything else under that name is refused of a stranger. */
function safetensors (length, seed) {
  const header = Buffer.from(JSON.stringify({ weight: { dtype: 'U8', shape: [length], data_offsets: [0, length] } }).padEnd(96))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([size, header, bytes(length, seed)])
}

const FILES = { 'of 0 bytes': Buffer.alloc(0), 'of 1 byte': bytes(1, 1), 'of 3 MiB': bytes(3 * MIB, 2) }
const FOLDER = {
  'README.md': Buffer.from('---\nlicense: mit\n---\n# a model\n'),
  'empty.txt': Buffer.alloc(0),
  'one.bin': bytes(1, 3),
  'model.safetensors': safetensors(3 * MIB, 4),
  'onnx/over-a-chunk.bin': bytes(MIB + 1, 5),
  'onnx/quantized/ünïcode näme.json': Buffer.from('{}\n')
}
/** More than 256 KiB of directory entries, so that both sides must shard it. */
const MANY = Object.fromEntries(Array.from({ length: 1300 }, (_, i) => [`${String(i).padStart(200, 'shard-')}.json`, Buffer.from(`{"shard":${i}}`)]))

/** Compares two trees without printing megabytes when they differ. */
function assertSameTree (got, expected) {
  assert.deepEqual(Object.keys(got).sort(), Object.keys(expected).sort())
  for (const [name, content] of Object.entries(expected)) {
    assert.ok(Buffer.compare(got[name], content) === 0, `${name}: ${got[name].length} bytes came, not the ${content.length} expected`)
  }
}

function assertPlainBitswap (t, seen) {
  const { faults, asked, ...counts } = seen
  t.diagnostic(`from modelswarm: ${JSON.stringify(counts)}`)
  assert.deepEqual(faults, [])
  assert.ok(seen.messages > 0, 'modelswarm sent no Bitswap message')
  assert.equal(seen.empty, 0, 'modelswarm sent messages that say nothing')
  // Not against the specification, but a waste; and Helia keeps silent when asked again within 5 s.
  assert.equal(seen.askedAgain, 0, 'modelswarm asked for blocks that it had asked for before')
}

/** Seeds `files` from a fresh home: root and address of its daemon. */
async function seedAndServe (t, files, ...flags) {
  const dir = scratch(t)
  const home = path.join(dir, 'home')
  const address = await startDaemon(t, home)
  const seeded = await succeed(home, 'seed', ...flags, '--name', 'repo', writeTree(path.join(dir, 'seeded'), files))
  assert.equal(seeded.serving, true)
  return { ...seeded, address }
}

/** Fetches from one peer into a fresh home and a fresh folder. */
async function getFrom (t, address, cid) {
  const dir = scratch(t)
  const answer = await succeed(path.join(dir, 'home'), 'get', cid, '--peer', address, '-o', path.join(dir, 'out'))
  return { ...answer, tree: readTree(path.join(dir, 'out')) }
}

for (const encrypter of Object.keys(ENCRYPTERS)) {
  test(`Helia fetches a folder from modelswarm over TCP and ${encrypter}`, async (t) => {
    const { root, address } = await seedAndServe(t, FOLDER, '--unsigned')
    const helia = await startHelia(t, encrypter)
    const connection = await helia.dial(address)
    assert.match(connection.encryption, new RegExp(encrypter))
    assertSameTree(await helia.fetch(root), FOLDER)
    assertPlainBitswap(t, helia.seen)
  })

  test(`modelswarm fetches a folder from Helia over TCP and ${encrypter}`, async (t) => {
    const helia = await startHelia(t, encrypter)
    const root = await helia.importFolder(FOLDER)
    const { tree, provenance } = await getFrom(t, helia.address(), root)
    assertSameTree(tree, FOLDER)
    assert.equal(provenance.status, 'unsigned')
    assertPlainBitswap(t, helia.seen)
    assert.ok(helia.seen.wantBlocks > 0)
  })
}

for (const [size, content] of Object.entries(FILES)) {
  test(`Helia fetches a file ${size} from modelswarm by the CID that Helia computes`, async (t) => {
    const cid = await (await startHelia(t)).importFile(content)
    const { address } = await seedAndServe(t, { 'file.bin': content }, '--unsigned')
    const helia = await startHelia(t)
    await helia.dial(address)
    assertSameTree(await helia.fetch(cid), { '': content })
    assertPlainBitswap(t, helia.seen)
  })

  test(`modelswarm fetches a file ${size} from Helia`, async (t) => {
    const helia = await startHelia(t)
    const cid = await helia.importFile(content)
    const { tree } = await getFrom(t, helia.address(), cid)
    assertSameTree(tree, { [cid]: content })
    assertPlainBitswap(t, helia.seen)
  })
}

test('seed gives the CIDs of Helia\'s profile unixfs-v1-2025, for plain and for sharded directories', async (t) => {
  const helia = await startHelia(t)
  for (const files of [FOLDER, MANY]) {
    const dir = scratch(t)
    const { root } = await succeed(path.join(dir, 'home'), 'seed', '--unsigned', '--name', 'repo', writeTree(path.join(dir, 'seeded'), files))
    assert.equal(root, await helia.importFolder(files))
  }
})

test('a sharded directory of 1,300 files goes both ways', async (t) => {
  const { root, address } = await seedAndServe(t, MANY, '--unsigned')
  const helia = await startHelia(t)
  await helia.dial(address)
  assertSameTree(await helia.fetch(root), MANY)
  const { tree } = await getFrom(t, helia.address(), root)
  assertSameTree(tree, MANY)
  assertPlainBitswap(t, helia.seen)
})

test('a tree of profile unixfs-v0-2015 goes from Helia through a modelswarm daemon to another Helia', async (t) => {
  // 60 MiB in 256 KiB leaves that are dag-pb: 240 of them, so two levels of at most 174 links.
  const files = { 'model.bin': bytes(60 * MIB, 6), 'config.json': Buffer.from('{}') }
  const origin = await startHelia(t)
  const root = await origin.importFolder(files, 'unixfs-v0-2015')
  assert.match(root, /^Qm/)
  const dir = scratch(t)
  const home = path.join(dir, 'home')
  const address = await startDaemon(t, home)
  await succeed(home, 'get', root, '--peer', origin.address(), '-o', path.join(dir, 'out'))
  assertSameTree(readTree(path.join(dir, 'out')), files)
  assertPlainBitswap(t, origin.seen)

  const next = await startHelia(t)
  await next.dial(address)
  assertSameTree(await next.fetch(root), files)
  assertPlainBitswap(t, next.seen)
})

test('modelswarm fetches one file of a folder from Helia by its path', async (t) => {
  const helia = await startHelia(t)
  const root = await helia.importFolder(FOLDER)
  for (const name of ['onnx/over-a-chunk.bin', 'one.bin']) {
    const { tree } = await getFrom(t, helia.address(), `${root}:${name}`)
    assertSameTree(tree, { [path.basename(name)]: FOLDER[name] })
  }
})

test('a signed release passes through Helia and still proves its publisher', async (t) => {
  const { release, publisher, address } = await seedAndServe(t, FOLDER, '--license', 'mit')
  const helia = await startHelia(t)
  await helia.dial(address)
  const fetched = await helia.fetch(release)
  const model = Object.entries(fetched).filter(([name]) => name.startsWith('model/')).map(([name, content]) => [name.slice('model/'.length), content])
  assertSameTree(Object.fromEntries(model), FOLDER)
  assert.ok('card.sigstore.json' in fetched)

  const { tree, provenance } = await getFrom(t, helia.address(), release)
  assertSameTree(tree, FOLDER)
  assert.equal(provenance.status, 'verified')
  assert.equal(provenance.publisher, publisher)
  assertPlainBitswap(t, helia.seen)
})

test('each side says that it does not have a block', async (t) => {
  const absent = await (await startHelia(t)).importFile(bytes(2 * MIB, 7))
  const { address } = await seedAndServe(t, FOLDER, '--unsigned')
  const helia = await startHelia(t)

  const dir = scratch(t)
  const { code, stderr } = await run(path.join(dir, 'home'), 'get', absent, '--peer', helia.address(), '--timeout', '5', '-o', path.join(dir, 'out'))
  assert.equal(code, 3, stderr)

  const identified = helia.identified()
  await helia.dial(address)
  // Only then Helia asks for DONT_HAVE; what it wants of a peer that it is just getting to know may go unanswered.
  await identified
  helia.fetch(absent).catch(() => {}) // ends when the node stops
  for (let i = 0; i < 200 && helia.seen.dontHaves === 0; i++) await setTimeout(50)
  assert.equal(helia.seen.dontHaves, 1)
  assert.equal(helia.seen.blocks, 0)
  assertPlainBitswap(t, helia.seen)
})

test('modelswarm identifies itself and offers Bitswap 1.2.0 under no other name', async (t) => {
  const { address } = await seedAndServe(t, FOLDER, '--unsigned')
  const helia = await startHelia(t)
  const identified = helia.identified()
  await helia.dial(address)
  const { agentVersion, protocols } = await identified
  t.diagnostic(`${agentVersion}: ${protocols.join(' ')}`)
  assert.match(agentVersion, /^modelswarm\//)
  assert.deepEqual(protocols.filter((protocol) => protocol.includes('bitswap')), [BITSWAP])
})

test('modelswarm answers pings of a Helia that offers no ping itself', async (t) => {
  // Every libp2p-js node pings its connections, and drops those that do not answer.
  const { address } = await seedAndServe(t, FOLDER, '--unsigned')
  const services = { identify: identify() }
  const helia = await startHelia(t, 'noise', { services, connectionMonitor: { pingInterval: 1000 } })
  const connection = await helia.dial(address)
  for (let i = 0; i < 100 && connection.rtt == null; i++) await setTimeout(100)
  assert.equal(connection.status, 'open')
  assert.ok(connection.rtt != null, 'no ping was answered')
})
