// One call of the JavaScript client per run: `node client.mjs FUNCTION PARAMETERS` prints what it gave, as JSON.
// A list is collected, a Blob becomes { base64 }, an error { error: { name, status, message } }.

import { pathToFileURL } from 'node:url'
import * as hub from '@huggingface/hub'

// The client tells of its progress on stdout.
console.debug = console.error

const [call, json] = process.argv.slice(2)
const parameters = { hubUrl: process.env.HF_ENDPOINT, ...JSON.parse(json) }
// Files to upload are given by their place.
parameters.files &&= parameters.files.map(({ path, file }) => ({ path, content: pathToFileURL(file) }))

async function give () {
  const answer = await hub[call](parameters)
  if (answer instanceof Blob) return { base64: Buffer.from(await answer.arrayBuffer()).toString('base64') }
  if (answer?.[Symbol.asyncIterator] == null) return answer ?? null
  const items = []
  for await (const item of answer) items.push(item)
  return items
}

const answer = await give().catch(({ name, statusCode, message }) => ({ error: { name, status: statusCode, message } }))
process.stdout.write(JSON.stringify(answer))
