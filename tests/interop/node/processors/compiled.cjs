// as a compiler makes it of an ES module
Object.defineProperty(exports, '__esModule', { value: true });
exports.default = async (job) => `${job.name} of a compiler`;
