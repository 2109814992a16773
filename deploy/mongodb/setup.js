// Make the MongoDB of compose.yaml a replica set, with a user for the service that may do nothing but
// read and write its own database. Can be run any number of times; a changed password is taken over.

const { MONGODB_HOST, MONGODB_PORT, MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD, MONGODB_DATABASE } = process.env;
const host = `${MONGODB_HOST}:${MONGODB_PORT ?? 27017}`;
const root = encodeURIComponent(MONGODB_ROOT_PASSWORD);
const deadline = Date.now() + 120_000;

function until(attempt) {
  for (;;) {
    try {
      const result = attempt();
      if (result) return result;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error("MongoDB was not ready in time");
    sleep(500);
  }
}

// During its very first start MongoDB can only be reached from its own container.
const admin = until(() => new Mongo(`mongodb://root:${root}@${host}/?directConnection=true`).getDB("admin"));

try {
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host }] } });
} catch (error) {
  if (error.codeName !== "AlreadyInitialized") throw error;
}
until(() => admin.hello().isWritablePrimary);

const user = { pwd: MONGODB_PASSWORD, roles: [{ role: "readWrite", db: MONGODB_DATABASE }] };
if (admin.getUser("enel")) {
  admin.updateUser("enel", user);
} else {
  admin.createUser({ user: "enel", ...user });
}
print(`replica set rs0 on ${host}; user enel may read and write ${MONGODB_DATABASE}`);
