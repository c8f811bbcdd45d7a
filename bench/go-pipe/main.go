// The rival in Go: golang.org/x/crypto/ssh, joined channel by channel by its public API, as a gateway on that library does it.
//
//	go-pipe HOSTKEY UPSTREAM-HOST:PORT USER IDENTITY
//
// Lets everyone with a public key in (who may log in is not what is measured), and prints its port.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

var ciphers = []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"}

func key(path string) ssh.Signer {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		log.Fatal(err)
	}
	return signer
}

func main() {
	upstream := os.Args[2]
	server := &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil },
	}
	server.Ciphers = ciphers
	server.AddHostKey(key(os.Args[1]))
	client := &ssh.ClientConfig{
		User:            os.Args[3],
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key(os.Args[4]))},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	client.Ciphers = ciphers
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		stream, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(stream, server, upstream, client)
	}
}

func serve(stream net.Conn, server *ssh.ServerConfig, upstream string, client *ssh.ClientConfig) {
	defer stream.Close()
	near, channels, requests, err := ssh.NewServerConn(stream, server)
	if err != nil {
		return
	}
	far, err := ssh.Dial("tcp", upstream, client)
	if err != nil {
		return
	}
	defer far.Close()
	go ssh.DiscardRequests(requests)
	go func() {
		far.Wait()
		near.Close()
	}()
	for channel := range channels {
		go join(channel, far)
	}
}

func join(asked ssh.NewChannel, client *ssh.Client) {
	far, fromFar, err := client.OpenChannel(asked.ChannelType(), asked.ExtraData())
	if err != nil {
		asked.Reject(ssh.ConnectionFailed, "")
		return
	}
	near, fromNear, err := asked.Accept()
	if err != nil {
		far.Close()
		return
	}
	go func() {
		requests(fromNear, far)
		far.Close()
	}()
	go func() {
		io.Copy(far, near)
		far.CloseWrite()
	}()
	var down sync.WaitGroup
	down.Add(3)
	go func() {
		defer down.Done()
		io.Copy(near, far)
		near.CloseWrite()
	}()
	go func() {
		defer down.Done()
		io.Copy(near.Stderr(), far.Stderr())
	}()
	go func() {
		defer down.Done()
		requests(fromFar, near)
	}()
	down.Wait()
	near.Close()
}

func requests(from <-chan *ssh.Request, to ssh.Channel) {
	for request := range from {
		answer, _ := to.SendRequest(request.Type, request.WantReply, request.Payload)
		if request.WantReply {
			request.Reply(answer, nil)
		}
	}
}
