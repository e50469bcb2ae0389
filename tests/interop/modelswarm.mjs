// The binary under test, as a user runs it: every call a process of its own, with a home of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

const BINARY = process.env.MODELSWARM_BIN
if (BINARY == null) throw new Error('MODELSWARM_BIN must name the modelswarm binary: start these tests with tests/interop/run')
const PATIENCE_MS = 120_000

/** A temporary folder that goes when test `t` ends. */
export function scratch (t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'modelswarm-interop-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Environment without settings of whoever runs the tests. */
function environment () {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MODELSWARM_')))
}

/** What runs; a test run that is stopped from outside leaves nothing behind. */
const running = new Set()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

function start (home, args) {
  const log = process.env.INTEROP_VERBOSE == null ? [] : ['-vv']
  const child = spawn(BINARY, ['--home', home, '--network', 'isolated', '--listen', '/ip4/127.0.0.1/tcp/0', '--json', ...log, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
  running.add(child)
  child.on('close', () => running.delete(child))
  child.said = ''
  child.stderr.on('data', (data) => {
    child.said += data
    if (log.length > 0) process.stderr.write(data)
  })
  return child
}

/** Runs one command; `{ code, answer, stderr }` with the JSON of stdout, if any. */
export async function run (home, ...args) {
  const child = start(home, args)
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  let stdout = ''
  child.stdout.on('data', (data) => { stdout += data })
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  return { code, answer: stdout === '' ? undefined : JSON.parse(stdout), stderr: child.said }
}

/** Runs one command that must succeed; its answer. */
export async function succeed (home, ...args) {
  const { code, answer, stderr } = await run(home, ...args)
  if (code !== 0) throw new Error(`modelswarm ${args.join(' ')} ended with ${code}: ${stderr}`)
  return answer
}

/** A daemon on `home`, stopped (and seen to stop cleanly) when test `t` ends; its TCP address. */
export async function startDaemon (t, home) {
  const child = start(home, ['daemon', '--http', 'off'])
  const ended = once(child, 'close')
  t.after(async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    const [code] = await ended
    clearTimeout(timer)
    if (code !== 0) throw new Error(`the daemon ended with ${code ?? 'a kill'}: ${child.said}`)
  })
  for await (const line of createInterface(child.stdout)) {
    const { event, addrs } = JSON.parse(line)
    if (event === 'ready') return addrs.find((address) => address.includes('/127.0.0.1/tcp/'))
  }
  throw new Error(`the daemon never was ready: ${child.said}`)
}

/** Lays `files` (path -> bytes) out below `dir`. */
export function writeTree (dir, files) {
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
    fs.writeFileSync(path.join(dir, name), bytes)
  }
  return dir
}

/** Every file below `dir`: path -> bytes. */
export function readTree (dir) {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory())
  return Object.fromEntries(entries.map((entry) => {
    const file = path.join(entry.parentPath, entry.name)
    return [path.relative(dir, file).split(path.sep).join('/'), fs.readFileSync(file)]
  }))
}
