// Folders of a test's own, which are gone with it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = mkdtempSync(path.join(tmpdir(), 'cloudnestle-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

/** The path of a folder that is not there yet. */
export const folder = (name) => path.join(root, name);
