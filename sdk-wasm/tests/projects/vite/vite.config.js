export default {
  build: {
    ssr: '../node/program.mjs',
    rollupOptions: { output: { entryFileNames: 'program.mjs' } },
  },
  ssr: { noExternal: true },
};
