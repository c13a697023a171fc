module.exports = async ( =>
