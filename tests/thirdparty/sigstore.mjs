// Verifies a Sigstore bundle with a bare public key, by @sigstore/verify alone: no certificates, no log, no time.
// Usage: node sigstore.mjs BUNDLE KEY.pem HINT. Exit 0: the signature holds. The key is found by the bundle's hint.
import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { bundleFromJSON } from '@sigstore/bundle'
import { toSignedEntity, Verifier } from '@sigstore/verify'

const [bundlePath, keyPath, expectedHint] = process.argv.slice(2)
const publicKey = createPublicKey(readFileSync(keyPath))
const trustMaterial = {
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: (hint) => {
    if (hint !== expectedHint) throw new Error(`the bundle names another key: ${JSON.stringify(hint)}`)
    return { publicKey, validFor: () => true }
  }
}
const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath, 'utf8')))
const thresholds = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0 }
new Verifier(trustMaterial, thresholds).verify(toSignedEntity(bundle))
console.log('holds')
