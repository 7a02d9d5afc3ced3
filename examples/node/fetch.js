// Fetches an investigation package from one device, and shows progress. Ctrl-C stops it; the same command resumes.
//
//     node fetch.js MACHINE COMMENT PATH
//
// The options of the library are read from MDE_OPTION_<NAME>, and its path from MDE_LIBRARY. Exit codes: 0 the package is
// there; 1 it failed; 2 wrong usage; 3 try again later.
'use strict';
const koffi = require('koffi');

const library = koffi.load(process.env.MDE_LIBRARY ?? (process.platform === 'win32' ? 'mde.dll' : 'libmde.so.0'));
for (const name of ['mde_client', 'mde_cancel', 'mde_options']) koffi.opaque(name);
// A string that is copied and then freed.
koffi.disposable('mde_string', 'str', library.func('void mde_string_free(void *text)'));
koffi.proto('int32_t mde_progress_fn(void *user_data, const char *event_json)');
const mde = Object.fromEntries([
  'mde_options *mde_options_new()',
  'void mde_options_free(mde_options *options)',
  'int32_t mde_options_set(mde_options *options, const char *name, const char *value, _Out_ mde_string *out_json)',
  'int32_t mde_client_new(const mde_options *options, _Out_ mde_client **out_client, _Out_ mde_string *out_json)',
  'void mde_client_free(mde_client *client)',
  'mde_cancel *mde_cancel_new(uint64_t timeout_ms)',
  'void mde_cancel_trigger(const mde_cancel *cancel)',
  'void mde_cancel_free(mde_cancel *cancel)',
  'int32_t mde_fetch_package(const mde_client *client, const char *machine_id, const char *comment, const char *path,'
    + ' mde_progress_fn *progress, void *user_data, const mde_cancel *cancel, _Out_ mde_string *out_json)',
].map((declaration) => [/(mde_\w+)\(/.exec(declaration)[1], library.func(declaration)]));

class MdeError extends Error {
  constructor(document) {
    const { error } = JSON.parse(document);
    super(error.message);
    Object.assign(this, error);
  }
}

function check(status, out) {
  if (status !== 0) throw new MdeError(out[0]);
  return out[0];
}

function newClient(values) {
  const options = mde.mde_options_new();
  try {
    const out = [null];
    for (const [name, value] of Object.entries(values)) check(mde.mde_options_set(options, name, value, out), out);
    const client = [null];
    check(mde.mde_client_new(options, client, out), out);
    return client[0];
  } finally {
    mde.mde_options_free(options);
  }
}

// The call runs on a worker thread. Events come on the thread of JavaScript, which must not be blocked.
async function fetchPackage(client, machine, comment, path, onEvent, signal) {
  const cancel = mde.mde_cancel_new(0);
  const stop = () => mde.mde_cancel_trigger(cancel);
  signal.addEventListener('abort', stop);
  // koffi would turn an exception into 0, which means: go on.
  const progress = koffi.register((userData, event) => {
    try {
      onEvent(JSON.parse(event));
      return 0;
    } catch {
      return 1;
    }
  }, 'mde_progress_fn *');
  try {
    const out = [null];
    const status = await new Promise((resolve, reject) => {
      mde.mde_fetch_package.async(client, machine, comment, path, progress, null, cancel, out,
        (error, result) => (error ? reject(error) : resolve(result)));
    });
    return JSON.parse(check(status, out));
  } finally {
    signal.removeEventListener('abort', stop);
    koffi.unregister(progress);
    mde.mde_cancel_free(cancel);
  }
}

async function main(arguments_) {
  if (arguments_.length !== 3) {
    console.error('usage: node fetch.js MACHINE COMMENT PATH');
    return 2;
  }
  const options = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('MDE_OPTION_'))
    .map(([name, value]) => [name.slice('MDE_OPTION_'.length).toLowerCase(), value]));
  const client = newClient(options);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  try {
    const fetched = await fetchPackage(client, ...arguments_, (event) => console.error(JSON.stringify(event)), stop.signal);
    console.log(JSON.stringify(fetched));
    return 0;
  } finally {
    mde.mde_client_free(client);
  }
}

main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => {
  console.error(error instanceof MdeError ? `${error.name} (${error.status}): ${error.message}` : error);
  process.exitCode = error.retryable ? 3 : 1;
});
