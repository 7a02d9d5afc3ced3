// Makes blobs and links to them, with Microsoft's own client, in a storage emulator.
//
//     node blobs.mjs ORIGIN put CONTAINER BLOB FILE            prints nothing
//     node blobs.mjs ORIGIN link CONTAINER BLOB SECONDS        prints a link that lives so long (negative: expired)
import { BlobServiceClient, BlobSASPermissions, SASProtocol, StorageSharedKeyCredential, generateBlobSASQueryParameters }
  from "@azure/storage-blob";

// The emulator's account, which is the same everywhere and documented.
const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const [origin, verb, containerName, blobName, last] = process.argv.slice(2);
const credential = new StorageSharedKeyCredential(account, key);
const service = new BlobServiceClient(`${origin}/${account}`, credential);
const container = service.getContainerClient(containerName);
const blob = container.getBlockBlobClient(blobName);

if (verb === "put") {
  await container.createIfNotExists();
  await blob.uploadFile(last, { blobHTTPHeaders: { blobContentType: "application/zip" } });
} else if (verb === "link") {
  const ends = Date.now() + Number(last) * 1000;
  const sas = generateBlobSASQueryParameters({
    containerName,
    blobName,
    permissions: BlobSASPermissions.parse("r"),
    protocol: SASProtocol.HttpsAndHttp,
    startsOn: new Date(Math.min(Date.now(), ends) - 600_000),
    expiresOn: new Date(ends),
  }, credential);
  console.log(`${blob.url}?${sas}`);
} else {
  throw new Error(`unknown: ${verb}`);
}
