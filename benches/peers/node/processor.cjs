// What both sandboxes run: nothing.
module.exports = async () => ({ ok: true });
