// Helia nodes for the tests: in this process, in memory, on loopback, with everything off that would
// look for peers by itself (no bootstrap, no mDNS, no DHT, no delegated routing, no gateways).

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import { tapBitswap } from './wire.mjs'

export const ENCRYPTERS = { noise, tls }
const PATIENCE_MS = 120_000
/** How many directory entries a fetch follows at once. */
const ABREAST = 64

/** Import options that are the named profile's own: unixfs() would put its defaults before them. */
function profile (name) {
  return { profile: name, cidVersion: undefined, rawLeaves: undefined, chunker: undefined, layout: undefined }
}

/** A started Helia node with an empty blockstore, stopped when test `t` ends; `more` goes over libp2p's options. */
export async function startHelia (t, encrypter = 'noise', more = {}) {
  const helia = withLibp2pLight(
    createHeliaLight({ blockstore: new MemoryBlockstore(), datastore: new MemoryDatastore() }), {
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [ENCRYPTERS[encrypter]()],
      streamMuxers: [yamux()],
      peerDiscovery: [],
      services: { identify: identify(), ping: ping() },
      ...more
    })
  const seen = tapBitswap(helia)
  withBitswap(helia)
  await helia.start()
  t.after(() => helia.stop())
  const fs = unixfs(helia)

  return {
    seen,
    address: () => helia.libp2p.getMultiaddrs().map(String).find((address) => address.includes('/127.0.0.1/')),
    dial: (address) => helia.libp2p.dial(multiaddr(address)),
    /** What the next peer to be identified says of itself. */
    identified: () => new Promise((resolve) => {
      helia.libp2p.addEventListener('peer:identify', ({ detail }) => resolve(detail), { once: true })
    }),

    /** Imports `files` (path -> bytes) as one directory; the root's CID as text. */
    async importFolder (files, by = 'unixfs-v1-2025') {
      const source = Object.entries(files).map(([path, content]) => ({ path, content }))
      let last
      for await (const entry of fs.addAll(source, { ...profile(by), wrapWithDirectory: true })) last = entry.cid
      return last.toString()
    },

    /** Imports one file without a directory around it. */
    async importFile (content) {
      return (await fs.addBytes(content, profile('unixfs-v1-2025'))).toString()
    },

    /** Fetches all that lies below `cid`: path -> bytes ('' for a file that is the root itself). */
    async fetch (cid) {
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const files = {}
      const visit = async (at, path) => {
        const { type } = await fs.stat(at, { signal })
        if (type === 'directory') {
          const entries = []
          for await (const entry of fs.ls(at, { signal })) entries.push(entry)
          while (entries.length > 0) {
            await Promise.all(entries.splice(0, ABREAST).map(({ cid, name }) => visit(cid, path === '' ? name : `${path}/${name}`)))
          }
        } else {
          const parts = []
          for await (const part of fs.cat(at, { signal })) parts.push(part)
          files[path] = Buffer.concat(parts)
        }
      }
      await visit(CID.parse(cid), '')
      return files
    }
  }
}
