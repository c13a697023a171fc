module.exports = { process: async () => 1 };
