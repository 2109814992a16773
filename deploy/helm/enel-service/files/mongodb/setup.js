// Make this MongoDB a replica set of one member, with a user for the service that may do nothing but read
// and write its own database. Can be run any number of times, and goes on where it was cut off: until there
// is a first user, MongoDB lets whoever comes from its own pod initiate the set and make that user.

const fs = require("fs");
const { MONGODB_HOST: host, MONGODB_PORT, MONGODB_DATABASE, CREDENTIALS } = process.env;
// As it is, with a line's end if there is one: the service gets its password so, too.
const secret = (key) => fs.readFileSync(`${CREDENTIALS}/${key}`, "utf8");
const deadline = Date.now() + 600_000; // a journal may have to be replayed

function until(what, attempt) {
  for (;;) {
    let why = "";
    try {
      const result = attempt();
      if (result) return result;
    } catch (error) {
      why = `: ${error.message}`;
    }
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}${why}`);
    sleep(500);
  }
}

function isRoot() {
  try {
    return admin.auth("root", secret("root-password")).ok === 1;
  } catch (error) {
    if (error.codeName !== "AuthenticationFailed") throw error;
    return false;
  }
}

const local = `mongodb://127.0.0.1:${MONGODB_PORT}/?directConnection=true`;
const admin = until("MongoDB answers", () => new Mongo(local).getDB("admin"));

// Before anything is initiated there is no user, and nothing to ask for one either.
const wasRoot = !admin.hello().isreplicaset && isRoot();
if (wasRoot) {
  const { config } = admin.adminCommand({ replSetGetConfig: 1 });
  if (config.members[0].host !== host) {
    config.members[0].host = host;
    config.version += 1;
    admin.adminCommand({ replSetReconfig: config, force: true });
  }
} else {
  try {
    admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host }] } });
  } catch (error) {
    if (error.codeName === "Unauthorized") {
      throw new Error("the Secret's root-password is not the one that this volume was made with");
    }
    if (error.codeName !== "AlreadyInitialized") throw error;
  }
}
until("it is primary", () => admin.hello().isWritablePrimary);
if (!wasRoot) {
  admin.createUser({ user: "root", pwd: secret("root-password"), roles: ["root"] });
  admin.auth("root", secret("root-password"));
}

const name = secret("username");
const user = { pwd: secret("password"), roles: [{ role: "readWrite", db: MONGODB_DATABASE }] };
if (admin.getUser(name)) {
  admin.updateUser(name, user);
} else {
  admin.createUser({ user: name, ...user });
}
print(`replica set rs0 on ${host}; a user may read and write ${MONGODB_DATABASE}`);
