// as Bull had it; BullMQ's sandbox gives no callback
module.exports = (job, done) => {
  done(null, 5);
};
