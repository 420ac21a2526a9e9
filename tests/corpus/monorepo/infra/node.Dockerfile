ARG NODE_VERSION
FROM node:${NODE_VERSION}-alpine AS production
WORKDIR /app
COPY . .
CMD ["node", "server.js"]
