"""The API as one caller may use it for a purpose, as an OpenAPI document: made of the view that answers the request."""
